#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/callback.h"
#include "bindings/policies.h"
#include "bindings/register.h"
#include "bindings/score_options.h"
#include "engine/open_library.h"
#include "generator/generator.h"

namespace nmt_trt::bindings {
namespace {

std::shared_ptr<EngineLibrary> open_library(std::vector<std::string> shims, std::string library,
                                            py::object log) {
  EngineLibraryOptions options;
  options.shims = std::move(shims);
  options.library = std::move(library);
  if (!log.is_none()) {
    const Callback callback(std::move(log));
    options.log = [callback](int severity, const char* message) {
      if (severity <= kLogInfo && Py_IsInitialized()) callback.log(severity, message);
    };
  }
  const py::gil_scoped_release unlocked;
  return open_engine_library(options);
}

ModelSource make_model(py::object plan_provider, int32_t layers, int32_t heads, int32_t head_size,
                       int32_t encoder_layers, int32_t encoder_heads, int32_t encoder_head_size,
                       bool causal_encoder, int32_t vocab_size, int32_t max_positions, int32_t eos,
                       int32_t pad, int32_t bos, int32_t max_batch, int32_t max_source,
                       int32_t attention_layer, std::optional<NativeSource> native_decoder) {
  const Callback callback(std::move(plan_provider));
  const PlanProvider provider = [callback](const std::string& graph) {
    return callback.call<std::string>(graph);
  };
  const ModelShape shape = {layers,
                            heads,
                            head_size,
                            encoder_layers,
                            encoder_heads,
                            encoder_head_size,
                            causal_encoder,
                            vocab_size,
                            max_positions,
                            eos,
                            pad,
                            bos,
                            max_batch,
                            max_source,
                            attention_layer};
  return {provider, shape, std::move(native_decoder)};
}

std::unique_ptr<Generator> make_generator(std::shared_ptr<EngineLibrary> library,
                                          std::vector<ModelSource> models,
                                          std::optional<size_t> memory_limit) {
  const py::gil_scoped_release unlocked;
  return std::make_unique<Generator>(std::move(library), std::move(models), memory_limit);
}

SearchOptions search_options(const ModelShape& shape, const std::string& policy, int32_t beam_size) {
  SearchOptions options;
  options.policy = policy_named(policy);
  options.beam_size = beam_size;
  options.num_hypotheses = 1;
  options.eos = shape.eos;
  options.pad = shape.pad;
  options.bos = shape.bos;
  options.vocab_size = shape.vocab_size;
  return options;
}

py::tuple generate(Generator& generator, const py::object& ids, const py::object& lengths,
                   const std::string& policy, int32_t beam_size, int32_t num_hypotheses, float length_penalty,
                   const py::object& max_lengths, bool deterministic, const py::object& early_stopping,
                   int32_t min_length, float repetition_penalty, int32_t no_repeat_ngram,
                   std::optional<int32_t> forced_bos, std::optional<int32_t> forced_eos,
                   std::vector<std::vector<int32_t>> bad_words, std::vector<int32_t> suppress_tokens,
                   std::vector<int32_t> allowed_tokens, bool token_scores,
                   std::vector<std::vector<int32_t>> target_prefix, float sampling_temperature,
                   int32_t sampling_topk, float sampling_topp, uint64_t seed,
                   std::vector<uint64_t> sentence_numbers, float patience, int32_t beam_groups,
                   float diversity_penalty, bool attention, float coverage_penalty) {
  const py::array checked_ids = check_array<int32_t>("ids", ids, {-1, -1});
  const py::array checked_lengths = check_array<int32_t>("lengths", lengths, {checked_ids.shape(0)});
  const py::array limits = check_array<int32_t>("max_lengths", max_lengths, {checked_ids.shape(0)});
  const auto* first = static_cast<const int32_t*>(limits.data());
  SearchOptions options = search_options(generator.shape(), policy, beam_size);
  options.num_hypotheses = num_hypotheses;
  options.length_penalty = length_penalty;
  options.max_lengths.assign(first, first + limits.size());
  options.early_stopping = early_stopping_named(early_stopping);
  options.token_scores = token_scores;
  options.target_prefix = std::move(target_prefix);
  set_score_options(options, min_length, repetition_penalty, no_repeat_ngram, forced_bos, forced_eos,
                    std::move(bad_words), std::move(suppress_tokens), std::move(allowed_tokens));
  set_sampling_options(options, sampling_temperature, sampling_topk, sampling_topp, seed,
                       std::move(sentence_numbers));
  options.patience = patience;
  options.beam_groups = beam_groups;
  options.diversity_penalty = diversity_penalty;
  options.attention = attention;
  options.coverage_penalty = coverage_penalty;
  const auto* sources = static_cast<const int32_t*>(checked_lengths.data());
  options.source_lengths.assign(sources, sources + checked_lengths.size());
  const SourceBatch batch = {
      static_cast<const int32_t*>(checked_ids.data()), static_cast<const int32_t*>(checked_lengths.data()),
      static_cast<int32_t>(checked_ids.shape(0)), static_cast<int32_t>(checked_ids.shape(1))};
  Generation generation;
  {
    const py::gil_scoped_release unlocked;
    generation = generator.generate(batch, options, deterministic);
  }
  return py::make_tuple(std::move(generation.hypotheses), generation.encoder_seconds,
                        generation.generator_seconds);
}

void warmup(Generator& generator, int32_t batch, int32_t source, int32_t beam_size, int32_t steps,
            const std::string& policy, bool deterministic, int32_t min_length, float repetition_penalty,
            int32_t no_repeat_ngram, std::optional<int32_t> forced_bos, std::optional<int32_t> forced_eos,
            std::vector<std::vector<int32_t>> bad_words, std::vector<int32_t> suppress_tokens,
            std::vector<int32_t> allowed_tokens, bool token_scores, int32_t beam_groups, bool attention) {
  SearchOptions options = search_options(generator.shape(), policy, beam_size);
  options.max_lengths = {steps};
  options.token_scores = token_scores;
  options.beam_groups = beam_groups;
  options.attention = attention;
  options.source_lengths = {source};
  set_score_options(options, min_length, repetition_penalty, no_repeat_ngram, forced_bos, forced_eos,
                    std::move(bad_words), std::move(suppress_tokens), std::move(allowed_tokens));
  const py::gil_scoped_release unlocked;
  generator.warmup(batch, source, options, steps, deterministic);
}

py::dict memory(const Generator& generator) {
  const MemoryUse use = generator.memory();
  py::dict bytes;
  bytes["plans"] = use.plans;
  bytes["scratch"] = use.scratch;
  bytes["search"] = use.search;
  bytes["stages"] = use.stages;
  return bytes;
}

int64_t cache_slots(const StepGraph& graph) { return int64_t{graph.key.beam_size} * graph.key.capacity; }

constexpr const char* kOpenDoc =
    R"(Open a TensorRT library with the shim that was compiled for its version.

shims: paths of libnmt_trt_engine_*.so; library: a path or a name for the dynamic linker; log(severity, message) gets
TensorRT's messages as bytes, from any thread: severity 0 (internal error), 1 (error), 2 (warning), 3 (information).

Raises EngineError: no such library, no shim for its version, or no CUDA device.)";

constexpr const char* kGeneratorDoc =
    R"(Encoder, decoder steps and beam search on the GPU, on a stream of its own.

The interpreter lock is released while it works. Use one object from one thread at a time, but for `memory`; several objects
may work at once. After an error the next call starts afresh.)";

constexpr const char* kModelInitDoc =
    R"(plan_provider(graph) returns the plan of "encoder_0" to "encoder_<encoder_layers>" or "decoder_0" to
"decoder_<2 * layers>" as bytes; it is called when a plan is first needed. max_batch, max_source: the largest batch and
the longest source that the plans were built for. attention_layer: the layer whose cross-attention is told, of a Generator's
first model. native_decoder: what runs the decoder in place of plans, of which those of the decoder are not asked for.)";

constexpr const char* kStepGraphDoc =
    R"(The CUDA graph of a decoder step with its search, for one set of shapes; a diagnostic.)";

constexpr const char* kGeneratorInitDoc =
    R"(models: one, or several of the same vocabulary and special tokens, whose probabilities are averaged at each step.
memory_limit: most bytes that `memory` may add up to; None: no limit.

Raises UsageError for models that do not fit together, and for too many.)";

constexpr const char* kGenerateDoc =
    R"(Translate one batch. ids: int32 array [B, S] padded on the right; lengths: int32 array [B]; max_lengths: int32 array
[B], most generated tokens of each sentence, EOS included.

Returns the hypotheses of each sentence, best first, and the GPU's seconds in the encoder and in everything behind it.
With deterministic=True the batch is padded to deterministic_rows sentences and keeps that size. The options from
early_stopping on are those of BeamSearch.

Raises UsageError for a batch that the engines do not take; EngineError, CudaError, OutOfMemoryError; BackendError when
the model gives logits that are no numbers.)";

constexpr const char* kWarmupDoc =
    R"(Make buffers, kernels and CUDA graphs for batches of these sizes and `steps` generated tokens, searched with options
like these: of those from min_length to suppress_tokens it matters whether there are any. Raises as generate().)";

}  // namespace

void register_generator(py::module_& module) {
  using py::arg;
  py::class_<EngineLibrary, std::shared_ptr<EngineLibrary>>(module, "EngineLibrary",
                                                            "An opened TensorRT library.")
      .def_property_readonly("flavour", &EngineLibrary::flavour, "\"tensorrt\" or \"tensorrt-rtx\".")
      .def_property_readonly("version", &EngineLibrary::version, "As the library tells it.")
      .def(
          "runtime_cache",
          [](EngineLibrary& library) {
            std::string kernels;
            {
              const py::gil_scoped_release unlocked;
              kernels = library.runtime_cache();
            }
            return py::bytes(kernels);
          },
          "Kernels compiled so far, for load_runtime_cache() in another process; empty where there is no "
          "such thing.")
      .def(
          "load_runtime_cache", &EngineLibrary::load_runtime_cache, arg("content"),
          py::call_guard<py::gil_scoped_release>(),
          "Take over kernels compiled earlier. Before the first plan is used; what does not fit is ignored.");
  module.def("open_engine_library", &open_library, py::kw_only(), arg("shims"), arg("library"),
             arg("log") = py::none(), kOpenDoc);
  py::class_<ModelSource>(module, "GeneratorModel", "A model of a Generator: its plans and its shape.")
      .def(py::init(&make_model), py::kw_only(), arg("plan_provider"), arg("layers"), arg("heads"),
           arg("head_size"), arg("encoder_layers"), arg("encoder_heads"), arg("encoder_head_size"),
           arg("causal_encoder"), arg("vocab_size"), arg("max_positions"), arg("eos"), arg("pad"), arg("bos"),
           arg("max_batch"), arg("max_source"), arg("attention_layer"), arg("native_decoder") = py::none(),
           kModelInitDoc);
  py::class_<StepGraph>(module, "StepGraph", kStepGraphDoc)
      .def_property_readonly(
          "rows", [](const StepGraph& graph) { return graph.key.rows; }, "Sentences that it runs on.")
      .def_property_readonly(
          "source", [](const StepGraph& graph) { return graph.key.source; },
          "Tokens that their sources are padded to.")
      .def_property_readonly(
          "beam_size", [](const StepGraph& graph) { return graph.key.beam_size; }, "Hypotheses a sentence.")
      .def_property_readonly("cache_slots", &cache_slots,
                             "Slots of a sentence's self-attention cache: beam_size for each step.")
      .def_property_readonly(
          "kernels", [](const StepGraph& graph) { return graph.nodes.kernels; }, "Kernels that it launches.")
      .def_property_readonly(
          "memsets", [](const StepGraph& graph) { return graph.nodes.memsets; }, "Memory that it sets.")
      .def_property_readonly(
          "other_nodes", [](const StepGraph& graph) { return graph.nodes.others; },
          "Copies and everything else in it.")
      .def_readonly("bytes", &StepGraph::bytes,
                    "Device memory of its own: keys and values of both attentions, and the search's inputs.");
  py::class_<Generator>(module, "Generator", kGeneratorDoc)
      .def(py::init(&make_generator), arg("library"), py::kw_only(), arg("models"),
           arg("memory_limit") = py::none(), kGeneratorInitDoc)
      .def("generate", &generate, arg("ids"), arg("lengths"), py::kw_only(), arg("policy"), arg("beam_size"),
           arg("num_hypotheses"), arg("length_penalty"), arg("max_lengths"), arg("deterministic"),
           arg("early_stopping") = false, arg("min_length") = 0, arg("repetition_penalty") = 1.0F,
           arg("no_repeat_ngram") = 0, arg("forced_bos") = py::none(), arg("forced_eos") = py::none(),
           arg("bad_words") = py::tuple(), arg("suppress_tokens") = py::tuple(),
           arg("allowed_tokens") = py::tuple(), arg("token_scores") = false,
           arg("target_prefix") = py::tuple(), arg("sampling_temperature") = 1.0F, arg("sampling_topk") = 0,
           arg("sampling_topp") = 1.0F, arg("seed") = 0, arg("sentence_numbers") = py::tuple(),
           arg("patience") = 1.0F, arg("beam_groups") = 1, arg("diversity_penalty") = 0.0F,
           arg("attention") = false, arg("coverage_penalty") = 0.0F, kGenerateDoc)
      .def("warmup", &warmup, py::kw_only(), arg("batch"), arg("source"), arg("beam_size"), arg("steps"),
           arg("policy"), arg("deterministic"), arg("min_length") = 0, arg("repetition_penalty") = 1.0F,
           arg("no_repeat_ngram") = 0, arg("forced_bos") = py::none(), arg("forced_eos") = py::none(),
           arg("bad_words") = py::tuple(), arg("suppress_tokens") = py::tuple(),
           arg("allowed_tokens") = py::tuple(), arg("token_scores") = false, arg("beam_groups") = 1,
           arg("attention") = false, kWarmupDoc)
      .def("max_batch", &Generator::max_batch, arg("beam_size"), py::call_guard<py::gil_scoped_release>(),
           "Most sentences of a batch with this beam size.")
      .def("source_bucket", &Generator::source_bucket, arg("length"),
           "Tokens that a source of this length is padded to.")
      .def("deterministic_rows", &Generator::deterministic_rows, arg("beam_size"),
           py::call_guard<py::gil_scoped_release>(), "Sentences that a deterministic batch is padded to.")
      .def_property_readonly(
          "memory", &memory,
          "Bytes in use: plans (as files, and weights of native decoders), scratch, search, "
          "stages; as it was at the last change.")
      .def_property_readonly(
          "step_graphs", &Generator::step_graphs,
          "What is launched at each decoder step, one for each set of shapes and kind of search "
          "that was met and is kept, the one used last first.");
}

}  // namespace nmt_trt::bindings
