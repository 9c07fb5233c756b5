#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/engine.h"
#include "core/options.h"
#include "core/top_log_probs.h"

namespace nmt_trt::cuda {

/// Updates whose count of active sentences SearchProgress keeps: more than the host lets the device be ahead.
inline constexpr int32_t kProgressKept = 4;

/// What the host may look at while the device works: in mapped host memory, written by the device after each
/// step.
struct SearchProgress {
  /// Written at once.
  struct alignas(uint64_t) Update {
    int32_t steps;   // updates finished so far, 1 after the first
    int32_t active;  // sentences that had not finished then
  };
  /// Update s is at s % kProgressKept.
  Update updates[kProgressKept];
  /// Logits that give no distribution were met; the search stays where it was.
  int32_t bad_logits;

  const volatile Update& at(int32_t steps) const volatile { return updates[steps % kProgressKept]; }
  /// Of the last update.
  int32_t steps() const volatile {
    int32_t most = 0;
    for (const volatile Update& update : updates) most = update.steps > most ? update.steps : most;
    return most;
  }
};

/// Options that change scores of next tokens (core/processors), as values of one batch.
struct ScoreRules {
  int32_t bos;     // stands before the generated tokens
  bool of_logits;  // scores are logits, not log-probabilities
  int32_t min_length;
  float repetition_penalty;        // 1: none
  int32_t no_repeat_ngram;         // 0: none
  int32_t forced_bos, forced_eos;  // kNoToken: none
  int32_t words;                   // bad words of two tokens or more
  const int32_t* word_ends;        // [words] where each ends in word_tokens
  const int32_t* word_tokens;
  int32_t prefix_steps;  // tokens of the longest target prefix
};

/// What a search with such options has beside SearchState; masks as token_mask.h has them.
struct ScoreState {
  const ScoreRules* rules;  // [1], null without such options
  const uint32_t* banned;   // [mask] tokens that never come
  const int32_t* prefixes;  // [B, T] target prefixes, kNoToken behind each; only prefix_steps columns matter
  // Made by find_edits() for each row of the model's batch.
  uint32_t* edited;          // [R, K, mask] tokens whose scores change
  int32_t* penalised;        // [R, K, T + 1] those that the repetition penalty changes, in their order
  int32_t* penalised_count;  // [R, K] their number
};

/// When policy hf ends a sentence (core/hf_policy.h), as values of one batch.
struct StopRules {
  bool when_full;  // the pool
  bool by_limit;   // the beam's best sum is judged at the longest length allowed, not at the current one
  int32_t places;  // of the pool
};

/// A place of FinishedPool: hypothesis `parent` after `steps` tokens, continued with `token`.
struct PoolPlace {
  float score;
  float sum;
  int32_t steps;
  int32_t parent;
  int32_t token;
  float log_prob;  // of `token`
};

/// What a search with policy hf has beside SearchState.
struct PoolState {
  const StopRules* rules;  // [1], null with other policies
  PoolPlace* places;       // [B, K * kMaxPatience], of which StopRules::places, by falling score
  int32_t* counts;         // [B] places that are taken
  int32_t* parents;        // [B, T, K] slot that the hypothesis of slot k at a step was in at the step before
};

/// How policy sample draws (core/sampler.h), as values of one batch.
struct SampleRules {
  float temperature;
  int32_t topk;  // 0: none
  double topp;
  uint64_t seed;
};

/// What a search with policy sample has beside SearchState.
struct SampleState {
  const SampleRules* rules;  // [1], null with other policies
  const uint64_t* numbers;   // [B] SearchOptions::sentence_numbers
};

/// Where record_attention() leaves what hypotheses attend to, as it is for one batch.
struct AttentionRecord {
  float* rows;  // [sentences, steps, K, source]
  int32_t sentences;
  int32_t steps;   // that may be recorded
  int32_t source;  // tokens of the longest source
};

/// Device memory of one batch's beam search. B = sentences (fixed for the batch's life), R = rows of the
/// model's batch (bucketed; shrinks when finished sentences are taken out), K = beam size, V = vocabulary, T
/// = capacity in generated tokens. The cache slot of hypothesis k at model step j (j = 0 feeds the start
/// token) is j * K + k, and N = slots is the number of slots of a stage's cache. Step j + 1 attends to slot
/// 0, which holds the start token, and to slot (i + 1) * K + ancestry[b, k, i] for each i <= j.
struct SearchState {
  PolicyKind policy;
  int32_t eos, pad;
  /// NemoPolicy's other_length: 2 when the start token is a word, else 1. Unused by gnmt.
  int32_t other_length;
  int32_t sentences, beam_size, vocab_size, capacity;
  int32_t candidates;  // C, what Policy::candidates() says

  // Per sentence, in the order of the batch as it began.
  const int32_t* max_lengths;  // [B]
  const float* penalties;  // [capacity + 4], LengthPenalty(alpha)(len) for len = 0, 1, ..., with hf len^alpha
  float* sum;              // [B, K]     Slot::sum
  float* penalty;          // [B, K]     Slot::penalty
  int32_t* words;          // [B, K]     Slot::words
  uint8_t* ended;          // [B, K]     Slot::ended
  int32_t* tokens;         // [B, T, K]  token generated at (step, slot)
  int32_t* ancestry;       // [B, K, T]  slot of hypothesis k at each step, the newest being k
  uint8_t* finished;       // [B]
  uint8_t* own_finished;  // [B]        as finished, before policies whose sentences end together wait for all
  // Per batch.
  int32_t* steps;       // [1]        tokens generated so far
  int32_t* bad_logits;  // [1]
  uint32_t* arrived;  // [1]        for the last block of a step to know that it is the last; 0 between steps
  SearchProgress* progress;  // mapped host memory, its device address
  ScoreState scores;
  PoolState pool;
  SampleState samples;
  /// Groups of a diverse beam search (core/diverse_policy.h) and [1] its penalty; 1 and null with one group.
  int32_t groups;
  const float* diversity_penalty;
  /// [B, T, K] log-probability of the token generated at (step, slot), as it went into the sum; NaN where no
  /// hypothesis got one. Null unless it is kept.
  float* token_scores;
  const AttentionRecord* attention;  // [1], null unless it is kept
};

/// What the decoder reads at the next step, for R rows of which some may be padding.
struct StepInputs {
  int32_t rows;          // R, at most 65535
  int32_t slots;         // N of this stage's cache, at least K
  int32_t* sentence;     // [R] the sentence of each row, -1 for a padding row
  int32_t* token;        // [R, K]
  int32_t* position;     // [1] the step number, never above max_position
  int32_t max_position;  // largest index into the position table
};

/// Everything at the beginning of a batch: no tokens, beams empty, nothing finished (sentence b with
/// max_lengths[b] <= 0 is finished at once), progress zeroed; step inputs for the start token `bos`. All
/// tokens are PAD and ancestry [b, k, j] is k until a step writes them: steps that a sentence no longer takes
/// part in read as Beam::idle() leaves them.
void start_search(const SearchState& state, const StepInputs& inputs, int32_t bos, cudaStream_t stream);

/// With score options, before top_log_probs(): for each row that the search looks at which tokens' scores
/// change, as ProcessorChain changes them. Nothing else is written.
void find_edits(const SearchState& state, const StepInputs& inputs, cudaStream_t stream);

/// One row of logits to its C best candidates: log-softmax in fp32, equal logits by rising token, PAD never
/// with policy gnmt, missing ones {-inf, 0}; the bits depend on the row alone. With score options, tokens
/// whose scores change are passed over and put in with their new ones, behind equal ones, in the order in
/// which the hypothesis has them. Rows that the search does not look at (padding, finished sentences, ended
/// or dead hypotheses except with nemo, k > 0 before the first update) are skipped. A row with NaN or +inf or
/// nothing finite sets *bad_logits. logits: [R * K, V] of `type`; candidates: [R, K, C].
void top_log_probs(const SearchState& state, const StepInputs& inputs, const void* logits, DataType type,
                   Candidate* candidates, cudaStream_t stream);

/// In place of top_log_probs() with policy sample: one token of each row, drawn as Sampler draws it, C being
/// 1. At the first step all hypotheses of a sentence draw from the logits of the first. Otherwise as
/// top_log_probs().
void draw_tokens(const SearchState& state, const StepInputs& inputs, const void* logits, DataType type,
                 Candidate* candidates, cudaStream_t stream);

/// The next beam of every unfinished sentence from its candidates, exactly as GnmtPolicy, DiversePolicy,
/// NemoPolicy, HfPolicy and SamplePolicy choose it (the same fp32 operations in the same order), then the
/// next step's inputs and, last, `progress`. Rows of finished sentences and padding rows keep their token.
/// After *bad_logits, when all have finished, or when the step that made the logits had no room in the cache
/// or has none in T, nothing changes any more, not even `steps` (progress still shows the same numbers, and
/// bad_logits): a graph may be launched too often.
void update_beams(const SearchState& state, const StepInputs& inputs, const Candidate* candidates,
                  cudaStream_t stream);

/// Which rows of the old stage go on: source_row [R_new] gets old row numbers, rising, of unfinished
/// sentences (with keep_all: of all rows that are not padding), then -1 for padding; new_inputs.sentence
/// likewise (it is written here), and new_inputs' token and position are made for the next step; padding rows
/// get PAD. R_new must be large enough; the two stages share no memory.
void compact_rows(const SearchState& state, const StepInputs& old_inputs, const StepInputs& new_inputs,
                  bool keep_all, int32_t* source_row, cudaStream_t stream);

/// One tensor to gather: to[r, h, 0:copied] = from[source_row[r], h, 0:copied], in bytes; rows with
/// source_row -1 are left alone.
struct GatherItem {
  const void* from;
  void* to;
  int64_t heads;        // middle extent
  int64_t from_stride;  // bytes between heads, a multiple of 2
  int64_t to_stride;    // bytes between heads, a multiple of 2
  int64_t copied;       // bytes of each head, a multiple of 2
};

/// Gathers all items (device array [count]) for R_new rows in one launch.
void gather_rows(const GatherItem* items, int32_t count, const int32_t* source_row, int32_t rows,
                 cudaStream_t stream);

}  // namespace nmt_trt::cuda
