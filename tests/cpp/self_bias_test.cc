#include <gtest/gtest.h>

#include <vector>

#include "core/errors.h"
#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr float kOff = -10000.0F;

std::vector<float> bias_of(const BeamSearch& search, int32_t slots, int32_t prefix_slots,
                           const int32_t* prefix_lengths = nullptr) {
  std::vector<float> bias(static_cast<size_t>(search.rows() * search.options().beam_size * slots), 7.0F);
  search.write_self_bias(bias.data(), slots, prefix_slots, prefix_lengths);
  return bias;
}

// Two words each; the second beam comes from slot 1 alone.
BeamSearch two_steps(PolicyKind policy, std::vector<int32_t> max_lengths) {
  const size_t sentences = max_lengths.size();
  BeamSearch search(scenario(policy, 2, 0.0F, std::move(max_lengths)));
  Logits first;
  for (size_t i = 0; i < sentences; ++i) first.row({{kWordA, 0.6}, {kWordB, 0.4}});
  search.start(first.data());
  Logits next;
  for (size_t i = 0; i < sentences; ++i) {
    next.row({{kWordA, 0.2}, {kWordB, 0.2}, {kWordC, 0.2}, {kBos, 0.2}, {kEos, 0.2}});
    next.row({{kWordC, 0.5}, {kWordA, 0.5}});
  }
  search.advance(next.data());
  return search;
}

TEST(SelfBias, SeesThePrefixTheAncestorsAndItself) {
  const auto search = two_steps(PolicyKind::kGnmt, {9});
  ASSERT_EQ(ancestry_of(search), (Ids{1, 0, 1, 1}));
  EXPECT_EQ(bias_of(search, 6, 1), (std::vector<float>{0, kOff, 0, 0, kOff, kOff,  //
                                                       0, kOff, 0, kOff, 0, kOff}));
  EXPECT_EQ(bias_of(search, 4, 0), (std::vector<float>{kOff, 0, 0, kOff,  //
                                                       kOff, 0, kOff, 0}));
}

TEST(SelfBias, ReadsThePrefixLengthOfEachRow) {
  const auto search = two_steps(PolicyKind::kGnmt, {9, 9});
  const std::vector<int32_t> lengths{2, 1};
  EXPECT_EQ(bias_of(search, 6, 2, lengths.data()), (std::vector<float>{0, 0,    kOff, 0, 0,    kOff,  //
                                                                       0, 0,    kOff, 0, kOff, 0,     //
                                                                       0, kOff, kOff, 0, 0,    kOff,  //
                                                                       0, kOff, kOff, 0, kOff, 0}));
}

TEST(SelfBias, WithALeakSeesTheStartTokenOfItsRootOnly) {
  const auto search = two_steps(PolicyKind::kNemo, {9, 9});
  ASSERT_TRUE(search.leaks());
  const std::vector<float> row{kOff, 0, kOff, 0, 0, kOff, kOff, 0, kOff, 0, kOff, 0};
  const auto bias = bias_of(search, 6, 2);
  EXPECT_EQ(std::vector<float>(bias.begin(), bias.begin() + 12), row);
  EXPECT_EQ(std::vector<float>(bias.begin() + 12, bias.end()), row);
}

TEST(SelfBias, APadQueryOfNemoIsMaskedOnTop) {
  BeamSearch search(scenario(PolicyKind::kNemo, 2, 0.0F, {9}));
  search.start(Logits().row({{kPad, 0.6}, {kWordA, 0.4}}).data());
  EXPECT_EQ(bias_of(search, 4, 1), (std::vector<float>{kOff, kOff, 2 * kOff, 2 * kOff,  //
                                                       0, kOff, 0, kOff}));
}

TEST(SelfBias, APadQueryOfGnmtIsNotSpecial) {
  BeamSearch search(scenario(PolicyKind::kGnmt, 2, 0.0F, {9}));
  search.start(Logits().row({{kWordA, 1.0}}).data());
  ASSERT_EQ(tokens_of(search), (Ids{kWordA, kPad}));
  EXPECT_EQ(bias_of(search, 3, 1), (std::vector<float>{0, 0, kOff, 0, kOff, 0}));
}

TEST(SelfBias, RefusesWhatDoesNotFit) {
  const auto search = two_steps(PolicyKind::kGnmt, {9, 9});
  const auto complaint = [&search](int32_t slots, int32_t prefix_slots, const int32_t* lengths) {
    return message_of<UsageError>([&] { bias_of(search, slots, prefix_slots, lengths); });
  };
  EXPECT_EQ(complaint(4, 1, nullptr), "the slots of bias must be at least 5 at step 2; given 4");
  EXPECT_EQ(complaint(9, -1, nullptr), "prefix_slots must be 0 or more; given -1");
  const std::vector<int32_t> long_prefix{1, 3};
  EXPECT_EQ(complaint(9, 2, long_prefix.data()),
            "prefix_lengths[1] must be from 0 to prefix_slots 2; given 3");
}

TEST(SelfBias, WithALeakRefusesAnyOtherPrefix) {
  const auto search = two_steps(PolicyKind::kNemo, {9, 9});
  EXPECT_EQ(message_of<UsageError>([&] { bias_of(search, 9, 1); }),
            "prefix_slots must be beam_size 2 when the search leaks; given 1");
  const std::vector<int32_t> lengths{1, 1};
  EXPECT_EQ(message_of<UsageError>([&] { bias_of(search, 9, 2, lengths.data()); }),
            "prefix_lengths must be None when the search leaks; given an array");
}

}  // namespace
}  // namespace nmt_trt
