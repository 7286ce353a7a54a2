#include "scan.hpp"

#include <memory>
#include <string>
#include <utility>

#include "../core/layer/scan.hpp"
#include "environment.hpp"

namespace strata::addon {
namespace {

using layer::Scan;
using Shared = std::shared_ptr<Scan>;

Napi::Value thrown(Napi::Env env, const Status& status) {
  Engine js(env);
  Conversion values(js);
  napi_throw(env, values.write(Failure(status)));
  return env.Undefined();
}

// (upper, lower, destinations, latest or a negative number, userAttributes): the scan, as something that only next and result can use.
Napi::Value open_scan(const Napi::CallbackInfo& info) {
  Engine js(info.Env());
  Conversion values(js);
  std::tuple<face::Path, std::vector<std::string>, std::vector<std::string>, bool> texts;
  const auto failure = values.read_arguments([&info](int index) { return info[static_cast<std::size_t>(index)]; }, texts);
  if (failure) {
    napi_throw(info.Env(), values.write(*failure));
    return info.Env().Undefined();
  }
  layer::ScanOptions options;
  options.upper = std::move(std::get<0>(texts).text);
  options.lower = std::move(std::get<1>(texts));
  options.destinations = std::move(std::get<2>(texts));
  options.user_attributes = std::get<3>(texts);
  options.latest = info[4].As<Napi::Number>().Int64Value();
  auto scan = std::make_unique<Shared>(std::make_shared<Scan>());
  if (const Status status = (*scan)->begin(options); status.failed()) return thrown(info.Env(), status);
  return Napi::External<Shared>::New(info.Env(), scan.release(), [](Napi::Env, Shared* old) { delete old; });
}

const Shared& scan_of(const Napi::CallbackInfo& info) { return *info[0].As<Napi::External<Shared>>().Data(); }

class NextBatch final : public Task {
 public:
  NextBatch(Napi::Env env, Shared scan) : deferred_(Napi::Promise::Deferred::New(env)), scan_(std::move(scan)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

  void execute() override {
    Result<std::string> batch = scan_->next();
    if (batch.failed()) status_ = batch.status();
    if (!batch.failed()) batch_ = std::make_unique<std::string>(std::move(batch.value()));
  }
  void fail(const Status& status) override { status_ = status; }

  void settle(Napi::Env env) override {
    Engine js(env);
    Conversion values(js);
    if (status_.failed()) return deferred_.Reject(values.write(Failure(status_)));
    if (batch_->empty()) return deferred_.Resolve(env.Undefined());
    std::string* batch = batch_.release();
    auto buffer = Napi::ArrayBuffer::New(env, batch->data(), batch->size(), [batch](Napi::Env, void*) { delete batch; });
    deferred_.Resolve(Napi::Uint8Array::New(env, buffer.ByteLength(), buffer, 0));
  }

 private:
  Napi::Promise::Deferred deferred_;
  Shared scan_;
  Status status_;
  std::unique_ptr<std::string> batch_;
};

// (scan): a promise for the next batch, undefined at the end. One at a time.
Napi::Value next_batch(const Napi::CallbackInfo& info) {
  auto task = std::make_unique<NextBatch>(info.Env(), scan_of(info));
  const Napi::Promise promise = task->promise();
  Environment::of(info.Env()).run(std::move(task));
  return promise;
}

Napi::Value result_of(const Napi::CallbackInfo& info) {
  const layer::ScanResult& result = scan_of(info)->result();
  Engine js(info.Env());
  auto object = js.object();
  js.set(object, "sockets", js.number(static_cast<double>(result.sockets)));
  js.set(object, "socket", js.text(result.socket));
  js.set(object, "attributes", js.number(static_cast<double>(result.attributes)));
  js.set(object, "attribute", js.text(result.attribute));
  return object;
}

}  // namespace

void register_scan(Napi::Object exports) {
  exports.Set("openScan", Napi::Function::New(exports.Env(), open_scan, "openScan"));
  exports.Set("nextOfScan", Napi::Function::New(exports.Env(), next_batch, "nextOfScan"));
  exports.Set("resultOfScan", Napi::Function::New(exports.Env(), result_of, "resultOfScan"));
}

}  // namespace strata::addon
