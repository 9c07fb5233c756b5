// cuda/search.h and cuda/average_log_probs.h on the fake device: the rules of the beams are the kernels' own.
#include <algorithm>
#include <vector>

#include "core/average_log_probs.h"
#include "core/errors.h"
#include "core/options.h"
#include "core/sampler.h"
#include "core/score_edits.h"
#include "core/top_log_probs.h"
#include "cuda/average_log_probs.h"
#include "cuda/kernels/beam_rules.h"
#include "cuda/kernels/pool_rules.h"
#include "cuda/kernels/score_rules.h"
#include "cuda/search.h"
#include "cuda/token_mask.h"
#include "fake_device.h"
#include "fake_launch.h"

namespace nmt_trt::cuda {
namespace {

using testing::device;
using testing::launch;

size_t size(int64_t count) { return static_cast<size_t>(count); }

bool has_room(const SearchState& state, const StepInputs& inputs) {
  return *state.steps < state.capacity && *state.steps < inputs.slots / state.beam_size;
}

bool takes_part(const SearchState& state, int32_t sentence) {
  return sentence >= 0 && state.finished[sentence] == 0;
}

void tell(const SearchState& state, int32_t active) {
  state.progress->updates[*state.steps % kProgressKept] = {*state.steps, active};
}

struct StartSearch {
  SearchState state;
  StepInputs inputs;
  int32_t bos;

  void operator()() const {
    const int64_t beams = int64_t{state.sentences} * state.beam_size;
    for (int64_t beam = 0; beam < beams; ++beam) start_beam(beam);
    for (int32_t i = 0; i < state.sentences; ++i) {
      state.own_finished[i] = state.finished[i] = state.max_lengths[i] <= 0 ? 1 : 0;
    }
    std::fill_n(inputs.token, inputs.rows * state.beam_size, bos);
    *inputs.position = *state.steps = *state.bad_logits = 0;
    *state.progress = {};
    tell(state,
         static_cast<int32_t>(std::count(state.finished, state.finished + state.sentences, uint8_t{0})));
  }

 private:
  void start_beam(int64_t beam) const {
    const BeamSlot slot = BeamRules::dead();
    state.sum[beam] = slot.sum;
    state.penalty[beam] = slot.penalty;
    state.words[beam] = slot.words;
    state.ended[beam] = slot.ended ? 1 : 0;
    std::fill_n(state.tokens + beam * state.capacity, state.capacity, state.pad);
    if (state.token_scores != nullptr) {
      std::fill_n(state.token_scores + beam * state.capacity, state.capacity, kNoLogProb);
    }
    std::fill_n(state.ancestry + beam * state.capacity, state.capacity,
                static_cast<int32_t>(beam % state.beam_size));
  }
};

/// call(sentence, k, the hypothesis' number in the model's batch) for each row of logits that is looked at.
template <typename Call>
void for_rows(const SearchState& state, const StepInputs& inputs, Call call) {
  for (int32_t row = 0; has_room(state, inputs) && row < inputs.rows; ++row) {
    const int32_t sentence = inputs.sentence[row];
    if (!takes_part(state, sentence)) continue;
    for (int32_t k = 0; k < (*state.steps == 0 ? 1 : state.beam_size); ++k) {
      const bool ended = *state.steps > 0 && state.ended[sentence * state.beam_size + k] != 0;
      if (ended && state.policy != PolicyKind::kNemo) continue;
      call(sentence, k, int64_t{row} * state.beam_size + k);
    }
  }
}

struct FindEdits {
  SearchState state;
  StepInputs inputs;

  void operator()() const {
    for_rows(state, inputs, [this](int32_t sentence, int32_t k, int64_t beam) { find(sentence, k, beam); });
  }

 private:
  void find(int32_t sentence, int32_t k, int64_t beam) const {
    const ScoreRules& rules = *state.scores.rules;
    const TokenHistory history = {state.scores.penalised + beam * (state.capacity + 1), *state.steps + 1};
    write_history(sentence, k, state.scores.penalised + beam * (state.capacity + 1));
    const int64_t mask_size = TokenMask::size(state.vocab_size);
    uint32_t* edited = state.scores.edited + beam * mask_size;
    std::copy_n(state.scores.banned, mask_size, edited);
    const auto ban = [edited](int32_t token) {
      if (token != kNoToken) edited[TokenMask::place(token)] |= TokenMask::bit(token);
    };
    if (history.generated() < rules.min_length) ban(state.eos);
    for (int32_t i = 0; i < history.size; ++i) ban(repeating_token(rules, history, i));
    for (int32_t i = 0; i < rules.words; ++i) ban(completing_token(rules, history, i));
    int32_t& count = state.scores.penalised_count[beam] = 0;
    for (int32_t i = 0; rules.repetition_penalty != 1.0F && i < history.size; ++i) {
      const int32_t token = history.tokens[i];
      if (TokenMask::has(edited, token)) continue;
      ban(token);
      state.scores.penalised[beam * (state.capacity + 1) + count++] = token;
    }
  }

  void write_history(int32_t sentence, int32_t k, int32_t* history) const {
    const int64_t first = int64_t{sentence} * state.beam_size * state.capacity;
    history[0] = state.scores.rules->bos;
    for (int64_t i = 0; i < *state.steps; ++i) {
      history[i + 1] =
          state.tokens[first + i * state.beam_size + state.ancestry[first + k * state.capacity + i]];
    }
  }
};

/// What the score options leave of a row whose edits have been found.
ScoreEdits edits_of(const SearchState& state, const float* row, double normaliser, int32_t sentence,
                    int64_t beam) {
  const ScoreRules& rules = *state.scores.rules;
  ScoreEdits edits(state.vocab_size, rules.of_logits);
  edits.begin(row, normaliser);
  const int32_t forced = forced_token(rules, *state.steps, state.max_lengths[sentence]);
  if (forced != kNoToken) {
    edits.force(forced);
    return edits;
  }
  const int32_t* tokens = state.scores.penalised + beam * (state.capacity + 1);
  for (int32_t i = 0; i < state.scores.penalised_count[beam]; ++i) {
    edits.set(tokens[i], penalised(edits.original(tokens[i]), rules.repetition_penalty));
  }
  const uint32_t* edited = state.scores.edited + beam * TokenMask::size(state.vocab_size);
  for (int32_t token = 0; token < state.vocab_size; ++token) {
    if (TokenMask::has(edited, token) && !edits.has(token)) edits.ban(token);
  }
  return edits;
}

struct DrawTokens {
  SearchState state;
  StepInputs inputs;
  const float* logits;
  Candidate* candidates;

  void operator()() const {
    const SampleRules& rules = *state.samples.rules;
    SearchOptions options;
    options.vocab_size = state.vocab_size;
    options.sampling_temperature = rules.temperature;
    options.sampling_topk = rules.topk;
    options.sampling_topp = static_cast<float>(rules.topp);
    options.seed = rules.seed;
    Sampler sampler(options, state.pad);
    TopLogProbs top(state.vocab_size, 1, state.pad);
    for_rows(state, inputs, [&](int32_t sentence, int32_t k, int64_t beam) {
      const int32_t last = *state.steps == 0 ? state.beam_size : k + 1;
      for (int32_t sample = k; sample < last; ++sample) {
        draw(sampler, top, sentence, sample, beam, candidates + beam - k + sample);
      }
    });
  }

 private:
  void draw(Sampler& sampler, TopLogProbs& top, int32_t sentence, int32_t sample, int64_t beam,
            Candidate* drawn) const {
    const float* row = logits + beam * state.vocab_size;
    const bool scored = state.scores.rules != nullptr;
    const int32_t wanted =
        scored ? prefix_token(state.scores, sentence, *state.steps, state.capacity) : kNoToken;
    if (wanted != kNoToken) return top.only(row, wanted, drawn);
    const double normaliser = top.normaliser(row);
    ScoreEdits edits(state.vocab_size, true);
    edits.begin(row, normaliser);
    if (scored) edits = edits_of(state, row, normaliser, sentence, beam);
    const int32_t token = sampler(row, edits, {state.samples.numbers[sentence], sample, *state.steps});
    *drawn = {token == Sampler::kNone ? ScoreEdits::kBanned : edits.log_prob(token), token};
  }
};

struct TopCandidates {
  SearchState state;
  StepInputs inputs;
  const float* logits;
  Candidate* candidates;

  void operator()() const {
    const bool gnmt = state.policy == PolicyKind::kGnmt;
    TopLogProbs top(state.vocab_size, state.candidates, gnmt ? state.pad : TopLogProbs::kNone);
    for_rows(state, inputs, [&](int32_t sentence, int32_t, int64_t beam) {
      const float* row = logits + beam * state.vocab_size;
      Candidate* best = candidates + beam * state.candidates;
      try {
        if (state.scores.rules == nullptr) return top(row, best);
        const int32_t wanted = prefix_token(state.scores, sentence, *state.steps, state.capacity);
        if (wanted != kNoToken) return top.only(row, wanted, best);
        const double normaliser = top.normaliser(row);
        top(row, normaliser, edits_of(state, row, normaliser, sentence, beam), best);
      } catch (const LogitsError&) {
        *state.bad_logits = 1;
      }
    });
  }
};

struct Choice {
  int32_t parent;
  uint32_t key;
  uint32_t tie;
  Proposal proposal;
  float log_prob;

  bool operator<(const Choice& other) const {
    if (key != other.key) return key > other.key;
    return parent != other.parent ? parent < other.parent : tie < other.tie;
  }
};

struct UpdateBeams {
  SearchState state;
  StepInputs inputs;
  const Candidate* candidates;

  void operator()() const {
    if (*state.bad_logits != 0) {
      state.progress->bad_logits = 1;
      return;
    }
    if (!has_room(state, inputs)) return;
    bool any = false;
    for (int32_t row = 0; row < inputs.rows; ++row) {
      const int32_t sentence = inputs.sentence[row];
      if (!takes_part(state, sentence)) continue;
      any = true;
      extend(row, sentence);
    }
    if (!any) return;
    const int32_t active = count_active();
    ++*state.steps;
    *inputs.position = std::min(*state.steps, inputs.max_position);
    tell(state, active);
  }

 private:
  BeamRules rules() const {
    return {state.policy, state.eos, state.pad, state.other_length, state.penalties};
  }

  // All that may come next, best first.
  std::vector<Choice> choose(int32_t row, int32_t sentence) const {
    const int32_t count = state.candidates;
    const Candidate* top = candidates + int64_t{row} * state.beam_size * count;
    const bool first = *state.steps == 0;
    const bool nemo = state.policy == PolicyKind::kNemo;
    std::vector<Choice> choices;
    for (int32_t parent = 0; parent < (first ? rules().roots(state.beam_size) : state.beam_size); ++parent) {
      const BeamSlot old = first ? BeamRules::root(parent) : slot_of(sentence, parent);
      for (int32_t i = 0; i < count; ++i) {
        const Candidate& candidate = top[(first ? 0 : parent) * count + i];
        const Proposal proposal =
            first && nemo ? rules().first_of_nemo(candidate) : rules().propose(old, candidate, i);
        if (!proposal.exists) continue;
        const uint32_t key = first && nemo ? size(state.beam_size - i) : BeamRules::rank_key(proposal);
        const float log_prob = old.ended ? kNoLogProb : candidate.log_prob;
        choices.push_back({parent, key, rules().tie_rank(candidate.token, i), proposal, log_prob});
      }
    }
    std::sort(choices.begin(), choices.end());
    return choices;
  }

  BeamSlot slot_of(int32_t sentence, int32_t k) const {
    const int32_t beam = sentence * state.beam_size + k;
    return {state.sum[beam], state.penalty[beam], state.words[beam], state.ended[beam] != 0};
  }

  // SamplePolicy: slot by slot.
  std::vector<Choice> choose_drawn(int32_t row, int32_t sentence) const {
    std::vector<Choice> choices;
    for (int32_t k = 0; k < state.beam_size; ++k) {
      const BeamSlot old = *state.steps == 0 ? BeamRules::root(0) : slot_of(sentence, k);
      const Candidate& drawn = candidates[int64_t{row} * state.beam_size + k];
      Proposal proposal = rules().propose(old, drawn, 0);
      if (!proposal.exists) proposal = {true, state.pad, BeamRules::dead()};
      choices.push_back({k, 0, 0, proposal, old.ended ? kNoLogProb : drawn.log_prob});
    }
    return choices;
  }

  // DiversePolicy: slot by slot.
  std::vector<Choice> choose_diverse(int32_t row, int32_t sentence) const {
    const int32_t size_of_group = state.beam_size / state.groups;
    const bool first_step = *state.steps == 0;
    std::vector<Choice> chosen;
    for (int32_t first = 0; first < state.beam_size; first += size_of_group) {
      std::vector<Choice> choices;
      for (int32_t parent = first; parent < first + (first_step ? 1 : size_of_group); ++parent) {
        const BeamSlot old = first_step ? BeamRules::root(0) : slot_of(sentence, parent);
        const Candidate* top =
            candidates + (int64_t{row} * state.beam_size + (first_step ? 0 : parent)) * state.candidates;
        for (int32_t i = 0; i < state.candidates; ++i) {
          Candidate candidate = top[i];
          const auto times = std::count_if(chosen.begin(), chosen.end(), [&candidate](const Choice& other) {
            return other.log_prob == other.log_prob && other.proposal.token == candidate.token;
          });
          if (top[1].log_prob > ScoreEdits::kBanned) {
            candidate.log_prob -= *state.diversity_penalty * static_cast<float>(times);
          }
          const Proposal proposal = rules().propose(old, candidate, i);
          if (!proposal.exists) continue;
          choices.push_back({parent, BeamRules::rank_key(proposal), rules().tie_rank(candidate.token, i),
                             proposal, old.ended ? kNoLogProb : candidate.log_prob});
        }
      }
      std::sort(choices.begin(), choices.end());
      const Choice dead = {first, 0, 0, {true, state.pad, BeamRules::dead()}, kNoLogProb};
      choices.resize(size(size_of_group), dead);
      chosen.insert(chosen.end(), choices.begin(), choices.end());
    }
    return chosen;
  }

  std::vector<Choice> choices_of(int32_t row, int32_t sentence) const {
    if (state.policy == PolicyKind::kSample) return choose_drawn(row, sentence);
    return state.groups > 1 ? choose_diverse(row, sentence) : choose(row, sentence);
  }

  // HfPolicy::settle()
  void settle(std::vector<Choice>& choices, const PoolRules& pool_rules, Pool& pool) const {
    choices.resize(std::min(choices.size(), size(state.candidates)));
    const int32_t length = *state.steps + 1;
    for (size_t i = 0; i < choices.size(); ++i) {
      Proposal& proposal = choices[i].proposal;
      if (!pool_rules.ends(proposal.token, length)) continue;
      const float sum = proposal.slot.sum;
      if (i < size(state.beam_size)) {
        pool.offer({pool_rules.score(sum, length), sum, *state.steps, choices[i].parent, proposal.token,
                    choices[i].log_prob});
      }
      proposal.slot.sum += FinishedPool::kAway;
      choices[i].key = BeamRules::rank_key(proposal);
    }
    std::sort(choices.begin(), choices.end());
  }

  void extend(int32_t row, int32_t sentence) const {
    std::vector<Choice> choices = choices_of(row, sentence);
    const bool hf = state.policy == PolicyKind::kHf;
    const PoolRules pool_rules = {hf ? *state.pool.rules : StopRules{}, state.eos,
                                  state.max_lengths[sentence], state.penalties};
    Pool pool = {};
    if (hf) {
      const int32_t taken = *state.steps == 0 ? 0 : state.pool.counts[sentence];
      pool = {state.pool.places + sentence * state.beam_size * kMaxPatience, pool_rules.stop.places, taken};
      settle(choices, pool_rules, pool);
      state.pool.counts[sentence] = pool.count;
    }
    const bool all_ended = write_beam(row, sentence, choices);
    const int32_t length = *state.steps + 1;
    const float best_sum = state.sum[sentence * state.beam_size];
    const bool finished =
        hf ? pool_rules.done(pool, best_sum, length) : all_ended || length >= state.max_lengths[sentence];
    state.own_finished[sentence] = finished ? 1 : 0;
  }

  bool write_beam(int32_t row, int32_t sentence, const std::vector<Choice>& choices) const {
    const int32_t first = sentence * state.beam_size;
    const int32_t* old = state.ancestry + int64_t{first} * state.capacity;
    const std::vector<int32_t> ancestry(old, old + state.beam_size * state.capacity);
    bool all_ended = true;
    for (int32_t k = 0; k < state.beam_size; ++k) {
      Choice chosen = {k, 0, 0, {false, state.pad, BeamRules::dead()}, kNoLogProb};
      if (size(k) < choices.size()) chosen = choices[size(k)];
      BeamSlot slot = chosen.proposal.slot;
      if (*state.steps > 0 && chosen.proposal.exists) {
        slot = rules().settle(chosen.proposal, state.penalty[first + k]);
      }
      all_ended = all_ended && slot.ended;
      write(row, sentence, k, chosen, slot);
      int32_t* path = state.ancestry + int64_t{first + k} * state.capacity;
      if (*state.steps > 0) std::copy_n(&ancestry[size(chosen.parent * state.capacity)], *state.steps, path);
      path[*state.steps] = k;
    }
    return all_ended;
  }

  void write(int32_t row, int32_t sentence, int32_t k, const Choice& chosen, const BeamSlot& slot) const {
    const int32_t beam = sentence * state.beam_size + k;
    state.sum[beam] = slot.sum;
    state.penalty[beam] = slot.penalty;
    state.words[beam] = slot.words;
    state.ended[beam] = slot.ended ? 1 : 0;
    const int64_t place = (int64_t{sentence} * state.capacity + *state.steps) * state.beam_size + k;
    if (state.token_scores != nullptr) state.token_scores[place] = chosen.log_prob;
    state.tokens[place] = inputs.token[row * state.beam_size + k] = chosen.proposal.token;
    if (state.policy == PolicyKind::kHf) state.pool.parents[place] = chosen.parent;
  }

  int32_t count_active() const {
    const auto count = [this](const uint8_t* finished) {
      return static_cast<int32_t>(std::count(finished, finished + state.sentences, uint8_t{0}));
    };
    const int32_t active = count(state.own_finished);
    if (state.policy == PolicyKind::kNemo && active > 0) return count(state.finished);
    std::copy_n(state.own_finished, state.sentences, state.finished);
    return active;
  }
};

struct CompactRows {
  SearchState state;
  StepInputs from, to;
  bool keep_all;
  int32_t* source_row;

  void operator()() const {
    int32_t kept = 0;
    for (int32_t row = 0; row < from.rows; ++row) {
      const int32_t sentence = from.sentence[row];
      if (sentence < 0 || (!keep_all && state.finished[sentence] != 0)) continue;
      if (kept == to.rows) return device().forbid("compact_rows has no room for a sentence");
      source_row[kept] = row;
      to.sentence[kept++] = sentence;
    }
    std::fill(source_row + kept, source_row + to.rows, -1);
    std::fill(to.sentence + kept, to.sentence + to.rows, -1);
    for (int32_t row = 0; row < to.rows; ++row) {
      int32_t* token = to.token + row * state.beam_size;
      std::fill_n(token, state.beam_size, state.pad);
      if (row < kept) std::copy_n(from.token + source_row[row] * state.beam_size, state.beam_size, token);
    }
    *to.position = std::min(*state.steps, to.max_position);
  }
};

void gather(const GatherItem& item, const int32_t* source_row, int32_t rows) {
  for (int64_t row = 0; row < rows; ++row) {
    if (source_row[row] < 0) continue;
    for (int64_t head = 0; head < item.heads; ++head) {
      const auto* from = static_cast<const char*>(item.from);
      from += (source_row[row] * item.heads + head) * item.from_stride;
      std::copy_n(from, item.copied,
                  static_cast<char*>(item.to) + (row * item.heads + head) * item.to_stride);
    }
  }
}

}  // namespace

void start_search(const SearchState& state, const StepInputs& inputs, int32_t bos, cudaStream_t stream) {
  launch(stream, StartSearch{state, inputs, bos});
}

void find_edits(const SearchState& state, const StepInputs& inputs, cudaStream_t stream) {
  launch(stream, FindEdits{state, inputs});
}

size_t average_log_probs_scratch_bytes(int32_t beams, int32_t models, int32_t /*vocab_size*/) {
  return size(beams) * size(models) * sizeof(float);
}

void average_log_probs(const SearchState& state, const StepInputs& inputs,
                       const std::vector<ModelLogits>& models, void* /*scratch*/, float* average,
                       cudaStream_t stream) {
  std::vector<const float*> logits;
  for (const ModelLogits& model : models) logits.push_back(static_cast<const float*>(model.logits));
  launch(stream, [=] {
    ++device().averages;
    for_rows(state, inputs, [&](int32_t, int32_t, int64_t beam) {
      std::vector<const float*> rows;
      for (const float* of_model : logits) rows.push_back(of_model + beam * state.vocab_size);
      nmt_trt::average_log_probs(rows, 1, size(state.vocab_size), average + beam * state.vocab_size);
    });
  });
}

void top_log_probs(const SearchState& state, const StepInputs& inputs, const void* logits, DataType /*type*/,
                   Candidate* candidates, cudaStream_t stream) {
  launch(stream, TopCandidates{state, inputs, static_cast<const float*>(logits), candidates});
}

void draw_tokens(const SearchState& state, const StepInputs& inputs, const void* logits, DataType /*type*/,
                 Candidate* candidates, cudaStream_t stream) {
  launch(stream, DrawTokens{state, inputs, static_cast<const float*>(logits), candidates});
}

void update_beams(const SearchState& state, const StepInputs& inputs, const Candidate* candidates,
                  cudaStream_t stream) {
  launch(stream, UpdateBeams{state, inputs, candidates});
  device().note_step({inputs.rows, inputs.slots / state.beam_size});
}

void compact_rows(const SearchState& state, const StepInputs& old_inputs, const StepInputs& new_inputs,
                  bool keep_all, int32_t* source_row, cudaStream_t stream) {
  launch(stream, CompactRows{state, old_inputs, new_inputs, keep_all, source_row});
}

void gather_rows(const GatherItem* items, int32_t count, const int32_t* source_row, int32_t rows,
                 cudaStream_t stream) {
  launch(stream, [=] {
    for (int32_t i = 0; i < count; ++i) gather(items[i], source_row, rows);
  });
}

}  // namespace nmt_trt::cuda
