#include "core/beam_search.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/errors.h"
#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;

Logits& ends(Logits& logits) { return logits.row({{kEos, 1.0}}); }
Logits& goes_on(Logits& logits) { return logits.row({{kWordC, 0.9}, {kEos, 0.1}}); }

BeamSearch greedy(std::vector<int32_t> max_lengths) {
  return BeamSearch(scenario(PolicyKind::kGnmt, 1, 0.6F, std::move(max_lengths)));
}

BeamSearch three_started() {
  auto search = greedy({9, 9, 9});
  search.start(Logits().row({{kWordA, 1.0}}).row({{kWordB, 1.0}}).row({{kWordC, 1.0}}).data());
  return search;
}

TEST(BeamSearch, FinishedSentencesWaitForTheOthers) {
  auto search = three_started();
  Logits second;
  goes_on(ends(goes_on(second)));
  search.advance(second.data());
  EXPECT_FALSE(search.done());
  EXPECT_EQ(search.rows(), 3);
  EXPECT_EQ(search.finished_rows(), 1);
  Logits third;
  ends(goes_on(third).nan_row());
  search.advance(third.data());
  EXPECT_EQ(search.finished_rows(), 2);
  EXPECT_EQ(tokens_of(search), (Ids{kWordC, kPad, kEos}));
  EXPECT_EQ(search.results()[1][0].tokens, (Ids{kWordB}));
}

TEST(BeamSearch, CompactTakesFinishedSentencesOut) {
  auto search = three_started();
  Logits second;
  goes_on(ends(goes_on(second)));
  search.advance(second.data());
  EXPECT_EQ(search.compact(), (Ids{0, 2}));
  EXPECT_EQ(search.rows(), 2);
  EXPECT_EQ(search.finished_rows(), 0);
  EXPECT_EQ(search.compact(), (Ids{0, 1}));
  Logits third;
  goes_on(ends(third));
  search.advance(third.data());
  EXPECT_EQ(search.compact(), (Ids{1}));
  EXPECT_EQ(tokens_of(search), (Ids{kWordC}));
  EXPECT_EQ(ancestry_of(search), (Ids{0, 0, 0}));
  Logits fourth;
  search.advance(ends(fourth).data());
  EXPECT_TRUE(search.done());
  EXPECT_TRUE(search.compact().empty());
  EXPECT_EQ(search.rows(), 0);
  const auto results = search.results();
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0][0].tokens, (Ids{kWordA, kWordC}));
  EXPECT_EQ(results[1][0].tokens, (Ids{kWordB}));
  EXPECT_EQ(results[2][0].tokens, (Ids{kWordC, kWordC, kWordC}));
}

TEST(BeamSearch, EachSentenceHasItsOwnLimit) {
  auto search = greedy({1, 3});
  search.start(Logits().row({{kWordA, 1.0}}).row({{kWordB, 1.0}}).data());
  EXPECT_EQ(search.finished_rows(), 1);
  Logits second;
  search.advance(goes_on(second.nan_row()).data());
  EXPECT_FALSE(search.done());
  search.compact();
  Logits third;
  search.advance(goes_on(third).data());
  EXPECT_TRUE(search.done());
  EXPECT_EQ(search.steps(), 3);
  EXPECT_EQ(search.results()[0][0].tokens, (Ids{kWordA}));
  EXPECT_EQ(search.results()[1][0].tokens, (Ids{kWordB, kWordC, kWordC}));
}

TEST(BeamSearch, AnEmptyBatchIsDoneAtOnce) {
  auto search = greedy({});
  EXPECT_FALSE(search.done());
  search.start(nullptr);
  EXPECT_TRUE(search.done());
  EXPECT_TRUE(search.compact().empty());
  EXPECT_TRUE(search.results().empty());
}

TEST(BeamSearch, ReturnsAsManyHypothesesAsAsked) {
  auto options = scenario(PolicyKind::kGnmt, 3, 0.0F, {1});
  options.num_hypotheses = 2;
  BeamSearch search(options);
  search.start(Logits().row({{kWordA, 0.5}, {kWordB, 0.3}, {kWordC, 0.2}}).data());
  const auto results = search.results()[0];
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].tokens, (Ids{kWordA}));
  EXPECT_EQ(results[1].tokens, (Ids{kWordB}));
}

TEST(BeamSearch, BadLogitsChangeNothing) {
  auto search = three_started();
  Logits bad;
  ends(ends(bad)).nan_row();
  EXPECT_THROW(search.advance(bad.data()), LogitsError);
  EXPECT_EQ(search.steps(), 1);
  EXPECT_EQ(tokens_of(search), (Ids{kWordA, kWordB, kWordC}));
  Logits good;
  ends(ends(ends(good)));
  search.advance(good.data());
  EXPECT_TRUE(search.done());
  EXPECT_EQ(search.results()[0][0].tokens, (Ids{kWordA}));

  auto fresh = greedy({9});
  EXPECT_THROW(fresh.start(Logits().nan_row().data()), LogitsError);
  EXPECT_EQ(fresh.steps(), 0);
  fresh.start(Logits().row({{kWordA, 1.0}}).data());
}

TEST(BeamSearch, RefusesCallsOutOfOrder) {
  auto search = greedy({9});
  const auto row = Logits().row({{kEos, 1.0}});
  const auto complaint = [](auto call) { return message_of<UsageError>(call); };
  const std::string early = "() may be called after start(); this search has not started";
  EXPECT_EQ(complaint([&] { search.advance(row.data()); }), "advance" + early);
  EXPECT_EQ(complaint([&] { search.compact(); }), "compact" + early);
  EXPECT_EQ(complaint([&] { search.results(); }), "results" + early);
  int32_t token = 0;
  EXPECT_EQ(complaint([&] { search.tokens(&token); }), "tokens" + early);
  EXPECT_EQ(complaint([&] { search.ancestry(&token); }), "ancestry" + early);
  float bias = 0;
  EXPECT_EQ(complaint([&] { search.write_self_bias(&bias, 1, 0, nullptr); }), "write_self_bias" + early);
  search.start(row.data());
  EXPECT_EQ(complaint([&] { search.start(row.data()); }),
            "start() may be called once; this search is at step 1");
  EXPECT_EQ(complaint([&] { search.advance(row.data()); }),
            "advance() may be called until the search is done; it is, at step 1");
}

}  // namespace
}  // namespace nmt_trt
