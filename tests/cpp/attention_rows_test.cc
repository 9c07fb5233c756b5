#include "core/attention_rows.h"

#include <gtest/gtest.h>

#include <string>

#include "core/errors.h"
#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;
using Row = std::vector<float>;

TEST(AttentionRows, KeepTheSourceAlone) {
  AttentionRows kept(2, 2);
  const Row first = {0.5F, 0.5F, 9.0F};
  kept.append(first.data(), 1, 3);
  const Row second = {0.1F, 0.9F, 9.0F, 0.2F, 0.8F, 9.0F};
  kept.append(second.data(), 2, 3);
  EXPECT_EQ(Row(kept.row(0, 0), kept.row(0, 0) + 2), (Row{0.5F, 0.5F}));
  EXPECT_EQ(Row(kept.row(1, 1), kept.row(1, 1) + 2), (Row{0.2F, 0.8F}));
  EXPECT_FALSE(AttentionRows().kept());
}

TEST(AttentionPath, HasARowForEachWordAndForEosAtTheEnd) {
  AttentionRows kept(1, 1);
  for (const float value : {0.0F, 1.0F, 2.0F, 3.0F}) kept.append(&value, 1, 1);
  AttentionPath path(kept, kEos, kPad);
  path.add(0, 0, kEos);
  EXPECT_EQ(path.rows(), (Row{0.0F}));
  path.add(1, 0, kPad);
  EXPECT_EQ(path.rows(), Row{});
  path.add(2, 0, kWordA);
  path.add(3, 0, kEos);
  EXPECT_EQ(path.rows(), (Row{2.0F, 3.0F}));
}

SearchOptions attending(PolicyKind policy, int32_t beam_size) {
  SearchOptions options = scenario(policy, beam_size, 0.0F, {4});
  options.attention = true;
  options.source_lengths = {1};
  return options;
}

// At each step slot k attends with 10 * step + k.
TEST(AttentionOfASearch, IsThatOfTheParents) {
  for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kHf}) {
    BeamSearch search(attending(policy, 2));
    const Row first = {0.0F};
    search.start(Logits().row({{kWordA, 0.6}, {kWordB, 0.4}}).data(), {first.data(), 1});
    const Row second = {10.0F, 11.0F};
    search.advance(Logits().row({{kWordA, 0.1}, {kWordC, 0.9}}).row({{kWordB, 0.95}, {kWordC, 0.05}}).data(),
                   {second.data(), 1});
    const Row third = {20.0F, 21.0F};
    search.advance(Logits().row({{kEos, 1.0}}).row({{kEos, 1.0}}).data(), {third.data(), 1});
    if (!search.done()) {
      const Row fourth = {30.0F, 31.0F};
      search.advance(Logits().row({{kWordA, 1.0}}).row({{kWordA, 1.0}}).data(), {fourth.data(), 1});
    }
    const auto found = search.results()[0];
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].tokens, (Ids{kWordA, kWordC}));
    EXPECT_EQ(found[0].attention, (Row{0.0F, 10.0F, 20.0F}));
    EXPECT_EQ(found[1].tokens, (Ids{kWordB, kWordB}));
    EXPECT_EQ(found[1].attention, (Row{0.0F, 11.0F, 21.0F}));
    EXPECT_TRUE(found[0].token_scores.empty());
  }
}

TEST(AttentionOfASearch, MustBeGiven) {
  BeamSearch search(attending(PolicyKind::kGnmt, 2));
  Logits logits;
  logits.row({{kWordA, 1.0}});
  EXPECT_EQ(message_of<UsageError>([&] { search.start(logits.data()); }),
            "attention must be rows of at least 1 source tokens; given none");
  const Row row = {1.0F};
  EXPECT_EQ(message_of<UsageError>([&] { search.start(logits.data(), {row.data(), 0}); }),
            "attention must be rows of at least 1 source tokens; given 0");
  search.start(logits.data(), {row.data(), 1});
  EXPECT_EQ(search.steps(), 1);
}

TEST(AttentionOptions, NeedTheLengthsOfTheSources) {
  SearchOptions options = attending(PolicyKind::kNemo, 1);
  EXPECT_NO_THROW(validate(options));
  options.source_lengths = {0};
  EXPECT_THROW(validate(options), UsageError);
  options.source_lengths = {1, 1};
  EXPECT_THROW(validate(options), UsageError);
  options.attention = false;
  EXPECT_NO_THROW(validate(options));
  options.coverage_penalty = 1.0F;
  EXPECT_THROW(validate(options), UsageError);
  options.source_lengths = {1};
  EXPECT_THROW(validate(options), UsageError);
  options.policy = PolicyKind::kSample;
  EXPECT_NO_THROW(validate(options));
  options.coverage_penalty = -1.0F;
  EXPECT_THROW(validate(options), UsageError);
}

}  // namespace
}  // namespace nmt_trt
