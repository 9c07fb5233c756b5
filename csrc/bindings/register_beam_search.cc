#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/policies.h"
#include "bindings/register.h"
#include "bindings/score_options.h"
#include "core/beam_search.h"
#include "core/errors.h"

namespace nmt_trt::bindings {
namespace {

std::unique_ptr<BeamSearch> make(
    const std::string& policy, int32_t beam_size, int32_t num_hypotheses, float length_penalty, int32_t eos,
    int32_t pad, int32_t bos, int32_t vocab_size, const py::object& max_lengths,
    const py::object& early_stopping, int32_t min_length, float repetition_penalty, int32_t no_repeat_ngram,
    std::optional<int32_t> forced_bos, std::optional<int32_t> forced_eos,
    std::vector<std::vector<int32_t>> bad_words, std::vector<int32_t> suppress_tokens,
    std::vector<int32_t> allowed_tokens, bool token_scores, std::vector<std::vector<int32_t>> target_prefix,
    float sampling_temperature, int32_t sampling_topk, float sampling_topp, uint64_t seed,
    std::vector<uint64_t> sentence_numbers, float patience, int32_t beam_groups, float diversity_penalty,
    bool attention, float coverage_penalty, std::vector<int32_t> source_lengths) {
  const py::array limits = check_array<int32_t>("max_lengths", max_lengths, {-1});
  const auto* first = static_cast<const int32_t*>(limits.data());
  SearchOptions options;
  options.policy = policy_named(policy);
  options.beam_size = beam_size;
  options.num_hypotheses = num_hypotheses;
  options.length_penalty = length_penalty;
  options.eos = eos;
  options.pad = pad;
  options.bos = bos;
  options.vocab_size = vocab_size;
  options.max_lengths.assign(first, first + limits.size());
  options.early_stopping = early_stopping_named(early_stopping);
  set_score_options(options, min_length, repetition_penalty, no_repeat_ngram, forced_bos, forced_eos,
                    std::move(bad_words), std::move(suppress_tokens), std::move(allowed_tokens));
  options.token_scores = token_scores;
  options.target_prefix = std::move(target_prefix);
  set_sampling_options(options, sampling_temperature, sampling_topk, sampling_topp, seed,
                       std::move(sentence_numbers));
  options.patience = patience;
  options.beam_groups = beam_groups;
  options.diversity_penalty = diversity_penalty;
  options.attention = attention;
  options.coverage_penalty = coverage_penalty;
  options.source_lengths = std::move(source_lengths);
  return std::make_unique<BeamSearch>(std::move(options));
}

/// Attention of this shape, its last extent being the width; none for None.
SourceAttention checked_attention(const py::object& given, std::vector<py::ssize_t> shape) {
  if (given.is_none()) return {};
  shape.push_back(-1);
  const py::array array = check_array<float>("attention", given, shape);
  return {static_cast<const float*>(array.data()), static_cast<int32_t>(array.shape(array.ndim() - 1))};
}

void start(BeamSearch& search, const py::object& logits, const py::object& attention) {
  const py::array array = check_array<float>("logits", logits, {search.rows(), search.options().vocab_size});
  const auto* data = static_cast<const float*>(array.data());
  const SourceAttention attended = checked_attention(attention, {search.rows()});
  const py::gil_scoped_release unlocked;
  search.start(data, attended);
}

void advance(BeamSearch& search, const py::object& logits, const py::object& attention) {
  const SearchOptions& options = search.options();
  const py::array array =
      check_array<float>("logits", logits, {search.rows(), options.beam_size, options.vocab_size});
  const auto* data = static_cast<const float*>(array.data());
  const SourceAttention attended = checked_attention(attention, {search.rows(), options.beam_size});
  const py::gil_scoped_release unlocked;
  search.advance(data, attended);
}

py::array_t<int32_t> compact(BeamSearch& search) {
  const auto kept = search.compact();
  return py::array_t<int32_t>(static_cast<py::ssize_t>(kept.size()), kept.data());
}

py::array_t<int32_t> tokens(const BeamSearch& search) {
  py::array_t<int32_t> array({search.rows(), search.options().beam_size});
  search.tokens(array.mutable_data());
  return array;
}

py::array_t<int32_t> ancestry(const BeamSearch& search) {
  py::array_t<int32_t> array({search.rows(), search.options().beam_size, search.steps()});
  search.ancestry(array.mutable_data());
  return array;
}

void write_self_bias(const BeamSearch& search, const py::object& bias, int32_t prefix_slots,
                     const py::object& prefix_lengths) {
  py::array array = check_array<float>("bias", bias, {search.rows(), 1, search.options().beam_size, -1});
  if (!array.writeable()) throw UsageError("bias", "writeable", "a read-only array");
  py::array lengths;
  const int32_t* lengths_data = nullptr;
  if (!prefix_lengths.is_none()) {
    lengths = check_array<int32_t>("prefix_lengths", prefix_lengths, {search.rows()});
    lengths_data = static_cast<const int32_t*>(lengths.data());
  }
  auto* data = static_cast<float*>(array.mutable_data());
  const auto slots = static_cast<int32_t>(array.shape(3));
  const py::gil_scoped_release unlocked;
  search.write_self_bias(data, slots, prefix_slots, lengths_data);
}

constexpr const char* kClassDoc =
    R"(Beam search over a batch of sentences; the caller runs the model.

B = sentences, R = rows = sentences still in the model's batch (at first B), K = beam_size, V = vocab_size.
Call start(), then advance() until done, giving the model tokens() and a cache read as ancestry() or
write_self_bias() says; compact() between two steps takes finished sentences out of the batch. Arrays must be
C-contiguous and of exactly the dtype and shape given: nothing is copied or cast. Use one object from one thread
at a time; start(), advance() and write_self_bias() release the GIL.

Every method raises UsageError for an unusable argument or a call out of order.)";

constexpr const char* kInitDoc =
    R"(Check the options and prepare the search.

policy: "gnmt", whose result never depends on the rest of the batch, "nemo", NeMo's search token for token, "hf", that
of Hugging Face transformers, or "sample", which draws beam_size hypotheses as sampling_* and seed say and by
sentence_numbers, which are 0, 1, 2, ... unless given. max_lengths: int32 array [B], most generated tokens of each
sentence, EOS included and the start token excluded; the same for all with policy "nemo". length_penalty: alpha of
sum / ((5 + len) / 6)^alpha, 0 or more; with policy "hf" of sum / len^alpha, any number. eos and pad must differ; pad is
never generated by "gnmt" and "sample"; bos, the start token, counts for a length by "nemo". early_stopping: False, True
or "never", and patience: for policy "hf". beam_groups, a divisor of beam_size, and diversity_penalty: for "gnmt".

token_scores, attention: whether hypotheses have those. target_prefix: for each sentence its first generated tokens, EOS
only as the last of them; empty: no prefixes. It and the rest are not for "nemo"; see nmt_trt.GenerationOptions.
source_lengths: for each sentence the tokens of its source, where there is attention or a coverage_penalty.)";

constexpr const char* kStartDoc =
    R"(First expansion, from one row a sentence. logits: float32 array [B, V]. attention: float32 array [B, S] of what the
rows attend to, the source in front, where the options ask for that.

Raises BackendError when a logit is NaN or +inf or a row is all -inf; the search is then unchanged.)";

constexpr const char* kAdvanceDoc =
    R"(One step. logits: float32 array [R, K, V]; rows of finished sentences may hold anything. attention: [R, K, S].

Raises BackendError as start() does.)";

constexpr const char* kCompactDoc =
    R"(Take finished sentences out of the batch; int32 array [R'] of the old rows that stay, rising.

Policy "nemo" keeps them all.)";

constexpr const char* kAncestryDoc =
    R"(int32 array [R, K, steps]: the beam index whose slot each hypothesis attends to at each generated step.

The newest entry is the hypothesis' own index.)";

constexpr const char* kLeaksDoc =
    R"(Policy "nemo" with B > 1 and K > 1: sentences share the start token's cache.

The entry of hypothesis (b, k) is that of sentence (b * K + k) mod B, and follows the ancestry.)";

constexpr const char* kWriteSelfBiasDoc =
    R"(Write 0 where a hypothesis attends and -10000 elsewhere. bias: float32 array [R, 1, K, N], written.

Prefix token p of a row is slot p, in use below prefix_lengths[r] (int32 array [R]; None: all prefix_slots); what
hypothesis k generated at step j is slot prefix_slots + j * K + k. With leaks, prefix_slots must be K and a hypothesis
attends, of these, to its ancestor of the first step only. With policy "nemo" a hypothesis whose last token is PAD
gets -10000 added everywhere.)";

constexpr const char* kResultsDoc =
    R"(For each of the B sentences its hypotheses, num_hypotheses at most, best first; unfinished ones as they are.

Policy "hf" gives unfinished ones only where there are no others.)";

}  // namespace

void register_beam_search(py::module_& module) {
  using py::arg;
  py::class_<BeamSearch>(module, "BeamSearch", kClassDoc)
      .def(py::init(&make), py::kw_only(), arg("policy"), arg("beam_size"), arg("num_hypotheses"),
           arg("length_penalty"), arg("eos"), arg("pad"), arg("bos"), arg("vocab_size"), arg("max_lengths"),
           arg("early_stopping") = false, arg("min_length") = 0, arg("repetition_penalty") = 1.0F,
           arg("no_repeat_ngram") = 0, arg("forced_bos") = py::none(), arg("forced_eos") = py::none(),
           arg("bad_words") = py::tuple(), arg("suppress_tokens") = py::tuple(),
           arg("allowed_tokens") = py::tuple(), arg("token_scores") = false,
           arg("target_prefix") = py::tuple(), arg("sampling_temperature") = 1.0F, arg("sampling_topk") = 0,
           arg("sampling_topp") = 1.0F, arg("seed") = 0, arg("sentence_numbers") = py::tuple(),
           arg("patience") = 1.0F, arg("beam_groups") = 1, arg("diversity_penalty") = 0.0F,
           arg("attention") = false, arg("coverage_penalty") = 0.0F, arg("source_lengths") = py::tuple(),
           kInitDoc)
      .def("start", &start, arg("logits"), arg("attention") = py::none(), kStartDoc)
      .def("advance", &advance, arg("logits"), arg("attention") = py::none(), kAdvanceDoc)
      .def("compact", &compact, kCompactDoc)
      .def("tokens", &tokens, "int32 array [R, K]: the last tokens, which are the next step's input.")
      .def("ancestry", &ancestry, kAncestryDoc)
      .def("write_self_bias", &write_self_bias, arg("bias"), arg("prefix_slots"),
           arg("prefix_lengths") = py::none(), kWriteSelfBiasDoc)
      .def("results", &BeamSearch::results, kResultsDoc)
      .def_property_readonly("done", &BeamSearch::done, "Whether every sentence has finished.")
      .def_property_readonly("rows", &BeamSearch::rows, "R, the sentences still in the model's batch.")
      .def_property_readonly("finished_rows", &BeamSearch::finished_rows,
                             "Rows of finished sentences, which compact() would remove.")
      .def_property_readonly("steps", &BeamSearch::steps,
                             "Tokens generated by each hypothesis so far, 1 after start().")
      .def_property_readonly("leaks", &BeamSearch::leaks, kLeaksDoc);
}

}  // namespace nmt_trt::bindings
