#include "core/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/errors.h"
#include "support.h"

namespace nmt_trt {
namespace {

using testing::message_of;
using testing::scenario;

SearchOptions good() { return scenario(PolicyKind::kGnmt, 2, 0.6F, {10, 20}); }

std::string complaint(const SearchOptions& options) {
  return message_of<UsageError>([&] { validate(options); });
}

TEST(Options, GoodOnesPass) {
  EXPECT_NO_THROW(validate(good()));
  auto options = good();
  options.max_lengths.clear();
  EXPECT_NO_THROW(validate(options));
  options.bos = options.pad;
  EXPECT_NO_THROW(validate(options));
}

TEST(Options, SayWhatWasExpectedAndGiven) {
  auto options = good();
  options.beam_size = 33;
  EXPECT_EQ(complaint(options), "beam_size must be from 1 to 32; given 33");
  options = good();
  options.beam_size = 0;
  EXPECT_EQ(complaint(options), "beam_size must be from 1 to 32; given 0");
  options = good();
  options.num_hypotheses = 3;
  EXPECT_EQ(complaint(options), "num_hypotheses must be from 1 to 2; given 3");
  options = good();
  options.max_lengths[1] = 0;
  EXPECT_EQ(complaint(options), "max_lengths[1] must be at least 1; given 0");
}

TEST(Options, TokensLieInTheVocabulary) {
  auto options = good();
  options.vocab_size = 1;
  EXPECT_EQ(complaint(options), "vocab_size must be at least 2; given 1");
  options = good();
  options.eos = 6;
  EXPECT_EQ(complaint(options), "eos must be from 0 to 5; given 6");
  options = good();
  options.pad = -1;
  EXPECT_EQ(complaint(options), "pad must be from 0 to 5; given -1");
  options = good();
  options.bos = 7;
  EXPECT_EQ(complaint(options), "bos must be from 0 to 5; given 7");
  options = good();
  options.pad = options.eos;
  EXPECT_EQ(complaint(options), "pad must be another token than eos; given 2 for both");
}

TEST(Options, LengthPenaltyIsFinite) {
  for (const float alpha : {-0.1F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    auto options = good();
    options.length_penalty = alpha;
    EXPECT_NE(complaint(options).find("length_penalty must be a finite number, 0 or more"),
              std::string::npos);
  }
  auto options = good();
  options.length_penalty = 100.0F;
  EXPECT_NE(complaint(options).find("finite at max_lengths 20"), std::string::npos);
}

TEST(Options, NemoHasItsOwnLimits) {
  auto options = good();
  options.policy = PolicyKind::kNemo;
  EXPECT_EQ(complaint(options),
            "max_lengths[1] must be that of every sentence, 10, with policy nemo; given 20");
  options.max_lengths = {10, 10};
  EXPECT_NO_THROW(validate(options));
  options.beam_size = 7;
  EXPECT_EQ(complaint(options), "beam_size must be at most vocab_size 6 with policy nemo; given 7");
}

TEST(Options, PolicyHfTakesAnyLengthPenaltyThatLeavesANumber) {
  auto options = good();
  options.policy = PolicyKind::kHf;
  options.early_stopping = EarlyStopping::kNever;
  for (const float alpha : {-2.0F, 0.0F, 20.0F}) {
    options.length_penalty = alpha;
    EXPECT_NO_THROW(validate(options));
  }
  for (const float alpha : {-100.0F, 100.0F, std::nanf("")}) {
    options.length_penalty = alpha;
    EXPECT_NE(complaint(options).find("length_penalty must be a number with which len^length_penalty"),
              std::string::npos);
  }
}

TEST(Options, ThatChangeScoresAreChecked) {
  auto options = good();
  options.min_length = -1;
  EXPECT_EQ(complaint(options), "min_length must be 0 or more; given -1");
  options = good();
  options.no_repeat_ngram = -1;
  EXPECT_EQ(complaint(options), "no_repeat_ngram must be 0 or more; given -1");
  options = good();
  options.repetition_penalty = 0.0F;
  EXPECT_EQ(complaint(options), "repetition_penalty must be a finite number above 0; given 0.000000");
  options = good();
  options.forced_bos = 6;
  EXPECT_EQ(complaint(options), "forced_bos must be from 0 to 5; given 6");
  options.forced_bos = options.pad;
  EXPECT_EQ(
      complaint(options),
      "forced_bos must be another token than pad, which policies gnmt and sample never generate; given 0");
  options = good();
  options.bad_words = {{1}, {}};
  EXPECT_EQ(complaint(options), "bad_words[1] must be one token or more; given none");
  options.bad_words = {{1, 6}};
  EXPECT_EQ(complaint(options), "a token of bad_words[0] must be from 0 to 5; given 6");
  options = good();
  options.suppress_tokens = {-1};
  EXPECT_EQ(complaint(options), "a token of suppress_tokens must be from 0 to 5; given -1");
  options.suppress_tokens = {3};
  options.forced_eos = 3;
  EXPECT_EQ(complaint(options), "a forced token must be one that suppress_tokens does not forbid; given 3");
}

TEST(Options, BelongToPolicies) {
  auto options = good();
  options.early_stopping = EarlyStopping::kYes;
  EXPECT_EQ(complaint(options), "early_stopping must be left alone except with policy hf; given a value");
  options = good();
  options.max_lengths = {10, 10};
  options.min_length = 2;
  EXPECT_NO_THROW(validate(options));
  options.policy = PolicyKind::kNemo;
  EXPECT_EQ(complaint(options),
            "min_length must be left alone except with policy gnmt, hf or sample; given a value");
}

TEST(Options, OfSamplingAreChecked) {
  auto options = scenario(PolicyKind::kSample, 2, 0.6F, {10, 20});
  options.sampling_temperature = 0.5F;
  options.sampling_topk = 3;
  options.sampling_topp = 0.5F;
  options.seed = 1;
  options.sentence_numbers = {7, 8};
  EXPECT_NO_THROW(validate(options));
  options.sampling_topp = 0;
  EXPECT_EQ(complaint(options), "sampling_topp must be above 0, at most 1; given 0.000000");
  options = good();
  options.sampling_topk = 3;
  EXPECT_EQ(complaint(options), "sampling_topk must be left alone except with policy sample; given a value");
  options = good();
  options.sampling_temperature = std::numeric_limits<float>::infinity();
  EXPECT_EQ(complaint(options), "sampling_temperature must be a finite number above 0; given inf");
}

TEST(Options, TargetPrefixesAreChecked) {
  auto options = good();
  options.target_prefix = {{}, {testing::kWordA, testing::kEos}};
  EXPECT_NO_THROW(validate(options));
  options.target_prefix = {{}};
  EXPECT_EQ(complaint(options), "target_prefix must be one for each of 2; given 1");
  options.target_prefix = {{testing::kPad}, {}};
  EXPECT_EQ(complaint(options), "a token of target_prefix[0] must be another than pad; given 0");
  options.target_prefix = {{testing::kEos, testing::kWordA}, {}};
  EXPECT_EQ(complaint(options), "eos in target_prefix[0] must be its last token; given one before");
  options.target_prefix = {testing::Ids(11, testing::kWordA), {}};
  EXPECT_EQ(complaint(options), "target_prefix[0] must be at most max_lengths[0] tokens, 10; given 11");
}

}  // namespace
}  // namespace nmt_trt
