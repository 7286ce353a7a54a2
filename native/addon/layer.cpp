#include "layer.hpp"

#include <atomic>
#include <cerrno>
#include <memory>
#include <tuple>

#include "../core/layer/writer.hpp"
#include "environment.hpp"

namespace strata::addon {
namespace {

using face::Nothing;
using layer::LayerSummary;
using layer::LayerWriter;

// The writer belongs to the strand's tasks; the first failure ends it.
struct OpenLayer {
  std::shared_ptr<Strand> strand;
  std::unique_ptr<LayerWriter> writer;
  Status failure;
  std::atomic<bool> aborted = false;
};
using Handle = Napi::External<std::shared_ptr<OpenLayer>>;

std::shared_ptr<OpenLayer> layer_of(const Napi::CallbackInfo& info) { return *info[0].As<Handle>().Data(); }

template <class Value>
Outcome<Value> refused(const OpenLayer& layer) {
  return Outcome<Value>(Failure(layer.failure.failed() ? layer.failure : Status(ECANCELED, "layer")));
}

template <class Value, class Work>
Napi::Value in_order(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLayer>& layer, Work work) {
  auto task = std::make_unique<Promised<Value>>(info.Env(), std::move(work));
  const Napi::Promise promise = task->promise();
  layer->strand->run(std::move(task));
  return promise;
}

}  // namespace

Napi::Value open_layer(const Napi::CallbackInfo& info) {
  Engine js(info.Env());
  Conversion values(js);
  std::tuple<face::Path, std::vector<std::string>, bool> arguments;
  const auto unfit = values.read_arguments([&info](int index) { return info[static_cast<std::size_t>(index)]; }, arguments);
  const auto& [directory, lower, flat] = arguments;
  Result<std::unique_ptr<LayerWriter>> writer =
      unfit ? Status(unfit->error, "strata", unfit->path) : LayerWriter::open(directory, lower, flat ? layer::Mode::flat : layer::Mode::overlay);
  if (writer.failed()) {
    napi_throw(info.Env(), values.write(Failure(writer.status())));
    return info.Env().Undefined();
  }
  auto opened = std::make_shared<OpenLayer>();
  opened->strand = Environment::of(info.Env()).strand();
  opened->writer = std::move(writer.value());
  const auto release = [](Napi::Env /*env*/, std::shared_ptr<OpenLayer>* layer) { delete layer; };
  return Handle::New(info.Env(), new std::shared_ptr<OpenLayer>(std::move(opened)), release);
}

Napi::Value write_layer(const Napi::CallbackInfo& info) {
  const std::shared_ptr<OpenLayer> layer = layer_of(info);
  const auto batch = info[1].As<Napi::Uint8Array>();
  const std::uint8_t* data = batch.Data();
  return in_order<Nothing>(info, layer, [layer, data, size = batch.ByteLength()] {
    if (layer->aborted || layer->failure.failed() || layer->writer == nullptr) return refused<Nothing>(*layer);
    layer->failure = layer->writer->apply(data, size);
    return layer->failure.failed() ? refused<Nothing>(*layer) : Outcome<Nothing>();
  });
}

Napi::Value finish_layer(const Napi::CallbackInfo& info) {
  const std::shared_ptr<OpenLayer> layer = layer_of(info);
  return in_order<LayerSummary>(info, layer, [layer] {
    if (layer->aborted || layer->failure.failed() || layer->writer == nullptr) return refused<LayerSummary>(*layer);
    const std::unique_ptr<LayerWriter> writer = std::move(layer->writer);
    return Outcome<LayerSummary>(writer->finish());
  });
}

Napi::Value abort_layer(const Napi::CallbackInfo& info) {
  const std::shared_ptr<OpenLayer> layer = layer_of(info);
  layer->aborted = true;
  return in_order<Nothing>(info, layer, [layer] {
    layer->writer.reset();
    return Outcome<Nothing>();
  });
}

}  // namespace strata::addon
