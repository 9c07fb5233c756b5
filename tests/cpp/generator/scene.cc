#include "scene.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <ostream>
#include <utility>

#include "core/average_log_probs.h"
#include "core/beam_search.h"
#include "core/errors.h"
#include "toy_model.h"
#include "toy_weights.h"

namespace nmt_trt {
namespace testing {
namespace {

int32_t between(std::mt19937& random, int32_t low, int32_t high) {
  return low + static_cast<int32_t>(random() % static_cast<uint32_t>(high - low + 1));
}

size_t size(int32_t count) { return static_cast<size_t>(count); }

/// The hypotheses of a batch as one model reads them.
class Reading {
 public:
  Reading(const Batch& batch, const toy::Model& model)
      : model_(model), beam_size_(size(batch.options.beam_size)) {
    for (const auto& source : batch.sources) sources_.push_back(toy::encode(source, model));
  }

  // What the hypotheses attend to, [B, K, S]; behind the start token, where they are all alike, [B, S].
  std::vector<float> attention(bool start, int32_t width) const {
    std::vector<float> rows;
    for (size_t beam = 0; beam < prefixes_.size(); beam += start ? beam_size_ : 1) {
      append(rows, prefixes_[beam]->attention());
      rows.resize(rows.size() + size(width) - prefixes_[beam]->attention().size(),
                  std::numeric_limits<float>::quiet_NaN());
    }
    return rows;
  }

  // [B, V]
  std::vector<float> first_logits() {
    std::vector<float> logits;
    for (const auto& source : sources_) {
      const auto start = std::make_shared<toy::Prefix>(source, nullptr, toy::kBos, model_);
      append(logits, start->logits());
      prefixes_.insert(prefixes_.end(), beam_size_, start);
    }
    return logits;
  }

  // [B, K, V] behind `tokens` [B, K]; ancestry: [B, K, steps]
  std::vector<float> next_logits(const std::vector<int32_t>& tokens, const std::vector<int32_t>& ancestry,
                                 size_t steps) {
    std::vector<std::shared_ptr<const toy::Prefix>> next;
    std::vector<float> logits;
    for (size_t beam = 0; beam < prefixes_.size(); ++beam) {
      const size_t sentence = beam / beam_size_;
      const size_t parent = steps == 1 ? 0 : size(ancestry[beam * steps + steps - 2]);
      next.push_back(std::make_shared<toy::Prefix>(
          sources_[sentence], prefixes_[sentence * beam_size_ + parent], tokens[beam], model_));
      append(logits, next.back()->logits());
    }
    prefixes_ = std::move(next);
    return logits;
  }

 private:
  static void append(std::vector<float>& logits, const std::vector<float>& row) {
    logits.insert(logits.end(), row.begin(), row.end());
  }

  toy::Model model_;
  size_t beam_size_;
  std::vector<std::vector<toy::Residual>> sources_;
  std::vector<std::shared_ptr<const toy::Prefix>> prefixes_;  // [B, K]
};

/// The CPU's search, whose every hypothesis asks the models for itself.
class Reference {
 public:
  Reference(const Batch& batch, const ToyModels& models) : search_(batch.options) {
    for (const auto& source : batch.sources) width_ = std::max(width_, static_cast<int32_t>(source.size()));
    for (const toy::Model& model : models) readings_.emplace_back(batch, model);
  }

  Found run() {
    const std::vector<float> first = together([](Reading& reading) { return reading.first_logits(); });
    search_.start(first.data(), {readings_.front().attention(true, width_).data(), width_});
    while (!search_.done()) {
      const size_t beams = size(search_.rows()) * size(search_.options().beam_size);
      const size_t steps = size(search_.steps());
      std::vector<int32_t> tokens(beams);
      std::vector<int32_t> ancestry(beams * steps);
      search_.tokens(tokens.data());
      search_.ancestry(ancestry.data());
      const auto next = [&](Reading& reading) { return reading.next_logits(tokens, ancestry, steps); };
      const std::vector<float> logits = together(next);
      search_.advance(logits.data(), {readings_.front().attention(false, width_).data(), width_});
    }
    return search_.results();
  }

 private:
  template <typename Logits>
  std::vector<float> together(Logits logits_of) {
    std::vector<std::vector<float>> logits;
    for (Reading& reading : readings_) logits.push_back(logits_of(reading));
    if (logits.size() == 1) return logits.front();
    std::vector<const float*> rows;
    for (const auto& of_model : logits) rows.push_back(of_model.data());
    std::vector<float> average(logits.front().size());
    average_log_probs(rows, average.size() / toy::kVocabulary, toy::kVocabulary, average.data());
    return average;
  }

  BeamSearch search_;
  int32_t width_ = 0;  // of the sources
  std::vector<Reading> readings_;
};

void draw_prefixes(std::mt19937& random, SearchOptions& options) {
  for (const int32_t limit : options.max_lengths) {
    std::vector<int32_t> prefix;
    const int32_t length = between(random, 0, std::min(limit, 6));
    while (static_cast<int32_t>(prefix.size()) < length) {
      prefix.push_back(between(random, toy::kEos + 1, toy::kVocabulary - 1));
    }
    options.target_prefix.push_back(std::move(prefix));
  }
}

void draw_sampling(std::mt19937& random, SearchOptions& options) {
  options.sampling_temperature = 0.5F * static_cast<float>(between(random, 1, 6));
  options.sampling_topk = between(random, 0, toy::kVocabulary);
  options.sampling_topp = 0.1F * static_cast<float>(between(random, 1, 10));
  options.seed = random();
  for (size_t i = 0; i < options.max_lengths.size(); ++i) options.sentence_numbers.push_back(random());
}

ModelShape shape_for(const FakePlan& plan) {
  ModelShape shape = toy::kShape;
  shape.layers = plan.model.layers;
  shape.attention_layer = plan.model.layers - 1;
  shape.max_batch = plan.max_batch;
  shape.max_source = plan.max_source;
  return shape;
}

std::vector<ModelSource> models_like(const std::vector<FakePlan>& plans) {
  std::vector<ModelSource> models;
  for (const FakePlan& plan : plans) {
    models.push_back({plans_like(plan), shape_for(plan)});
    if (!plan.native) continue;
    models.back().native = toy::native_source(plan.model, plan.type, plan.rows.most, plan.native->pre_norm);
  }
  return models;
}

}  // namespace

Batch make_batch(const Wish& wish, uint32_t seed) {
  std::mt19937 random(seed);
  Batch batch;
  for (const int32_t end : wish.ends) {
    std::vector<int32_t> source = {end};
    const int32_t length = between(random, 1, wish.source);
    while (static_cast<int32_t>(source.size()) < length) source.push_back(between(random, 1, 200));
    batch.sources.push_back(std::move(source));
  }
  batch.deterministic = wish.deterministic;
  SearchOptions& options = batch.options;
  options.policy = wish.policy;
  options.beam_size = wish.beam_size;
  options.num_hypotheses = wish.beam_size;
  options.length_penalty = 0.6F;
  options.token_scores = wish.token_scores;
  options.attention = wish.attention;
  for (const auto& source : batch.sources) {
    options.source_lengths.push_back(static_cast<int32_t>(source.size()));
  }
  options.eos = toy::kEos;
  options.pad = toy::kPad;
  options.bos = toy::kBos;
  options.vocab_size = toy::kVocabulary;
  options.max_lengths.assign(wish.ends.size(), wish.max_length);
  return batch;
}

std::vector<int32_t> ends_from(int32_t first, int32_t count) {
  std::vector<int32_t> ends(static_cast<size_t>(count));
  std::iota(ends.begin(), ends.end(), first);
  return ends;
}

std::vector<int32_t> ends_at(int32_t end, int32_t count) {
  return std::vector<int32_t>(static_cast<size_t>(count), end);
}

Batch random_batch(std::mt19937& random, int32_t longest) {
  Wish wish;
  constexpr PolicyKind kPolicies[] = {PolicyKind::kGnmt, PolicyKind::kNemo, PolicyKind::kHf,
                                      PolicyKind::kSample};
  wish.policy = kPolicies[between(random, 0, 3)];
  wish.beam_size = between(random, 1, 5);
  wish.max_length = between(random, 1, longest);
  wish.deterministic = between(random, 0, 3) == 0;
  wish.source = between(random, 1, 64);
  wish.token_scores = between(random, 0, 2) == 0;
  wish.attention = between(random, 0, 3) == 0;
  const int32_t count = between(random, 1, wish.deterministic ? 32 : 64);
  while (static_cast<int32_t>(wish.ends.size()) < count) wish.ends.push_back(between(random, 1, longest));
  Batch batch = make_batch(wish, static_cast<uint32_t>(random()));
  if (wish.policy == PolicyKind::kHf) {
    constexpr EarlyStopping kStops[] = {EarlyStopping::kNo, EarlyStopping::kYes, EarlyStopping::kNever};
    batch.options.early_stopping = kStops[between(random, 0, 2)];
    batch.options.length_penalty = 0.5F * static_cast<float>(between(random, -2, 3));
    if (wish.beam_size > 1) batch.options.patience = static_cast<float>(between(random, 1, kMaxPatience));
  }
  if (wish.policy == PolicyKind::kGnmt && between(random, 0, 2) == 0) {
    batch.options.beam_groups = wish.beam_size;
    batch.options.diversity_penalty =
        wish.beam_size > 1 ? 0.5F * static_cast<float>(between(random, 0, 6)) : 0.0F;
  }
  if (wish.policy != PolicyKind::kNemo && between(random, 0, 3) == 0) {
    batch.options.coverage_penalty = 0.25F * static_cast<float>(between(random, 1, 4));
    batch.options.num_hypotheses = between(random, 1, wish.beam_size);
  }
  if (wish.policy == PolicyKind::kSample) draw_sampling(random, batch.options);
  if (wish.policy != PolicyKind::kNemo) {
    for (int32_t& limit : batch.options.max_lengths) limit = between(random, 1, wish.max_length);
  }
  if (wish.policy != PolicyKind::kNemo && between(random, 0, 3) == 0) draw_prefixes(random, batch.options);
  return batch;
}

Found expected(const Batch& batch, const ToyModels& models) { return Reference(batch, models).run(); }

Generation generate(Generator& generator, const Batch& batch) {
  size_t width = 0;
  for (const auto& source : batch.sources) width = std::max(width, source.size());
  std::vector<int32_t> ids(batch.sources.size() * width, 77);  // not looked at behind a source
  std::vector<int32_t> lengths;
  for (size_t i = 0; i < batch.sources.size(); ++i) {
    std::copy(batch.sources[i].begin(), batch.sources[i].end(), &ids[i * width]);
    lengths.push_back(static_cast<int32_t>(batch.sources[i].size()));
  }
  const SourceBatch source = {ids.data(), lengths.data(), static_cast<int32_t>(lengths.size()),
                              static_cast<int32_t>(width)};
  return generator.generate(source, batch.options, batch.deterministic);
}

::testing::AssertionResult same(const Found& found, const Found& wanted) {
  if (found.size() != wanted.size()) {
    return ::testing::AssertionFailure() << found.size() << " sentences, not " << wanted.size();
  }
  const auto equal = [](const Hypothesis& a, const Hypothesis& b) {
    return a.tokens == b.tokens && a.score == b.score && a.log_prob == b.log_prob &&
           a.token_scores == b.token_scores && a.attention == b.attention;
  };
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::equal(found[i].begin(), found[i].end(), wanted[i].begin(), wanted[i].end(), equal)) continue;
    return ::testing::AssertionFailure()
           << "sentence " << i << " of " << wanted.size() << ": " << ::testing::PrintToString(found[i])
           << ", not " << ::testing::PrintToString(wanted[i]);
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult translates(Generator& generator, const Batch& batch, const ToyModels& models) {
  return same(generate(generator, batch).hypotheses, expected(batch, models));
}

void warm_up(Generator& generator, const Batch& batch, int32_t steps) {
  size_t longest = 0;
  for (const auto& source : batch.sources) longest = std::max(longest, source.size());
  generator.warmup(static_cast<int32_t>(batch.sources.size()), static_cast<int32_t>(longest), batch.options,
                   steps, batch.deterministic);
}

ToyGenerator::ToyGenerator(const FakePlan& plan, std::optional<size_t> memory_limit)
    : ToyGenerator(std::vector{plan}, memory_limit) {}

ToyGenerator::ToyGenerator(PlanProvider provider)
    : Generator(fake_library(), {{std::move(provider), toy::kShape}}, std::nullopt) {}

ToyGenerator::ToyGenerator(const std::vector<FakePlan>& plans, std::optional<size_t> memory_limit)
    : Generator(fake_library(), models_like(plans), memory_limit) {}

Outcomes generate_within_limits(const std::vector<FakePlan>& plans, const std::vector<Batch>& batches,
                                const std::vector<Found>& wanted, size_t most, size_t parts) {
  Outcomes outcomes;
  for (size_t limit = most / parts; limit <= most; limit += most / parts) {
    ToyGenerator generator(plans, limit);
    for (size_t i = 0; i < wanted.size(); ++i) {
      try {
        EXPECT_TRUE(same(generate(generator, batches[i]).hypotheses, wanted[i]));
        ++outcomes.successes;
      } catch (const OutOfMemoryError&) {
        ++outcomes.failures;
      }
      EXPECT_LE(generator.memory().stages > 0 ? generator.memory().total() : 0, limit);
    }
  }
  return outcomes;
}

std::vector<StepLaunch> take_steps() { return std::exchange(device().steps, {}); }

void PrintTo(const StepLaunch& step, std::ostream* out) { *out << step.rows << " x " << step.capacity; }

}  // namespace testing

void PrintTo(const Hypothesis& hypothesis, std::ostream* out) {
  for (const int32_t token : hypothesis.tokens) *out << token << ' ';
  *out << "(" << hypothesis.score << ", " << hypothesis.log_prob << ")";
}

}  // namespace nmt_trt
