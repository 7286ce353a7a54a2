// Layers are applied on another thread, batch by batch, while JavaScript decompresses: src/archive/native.ts is the other side.
#pragma once

#include <napi.h>

namespace strata::addon {

// (directory, lower layers, flat): what the others take.
Napi::Value open_layer(const Napi::CallbackInfo& info);
// (layer, batch): a promise that is settled when the batch has been applied.
Napi::Value write_layer(const Napi::CallbackInfo& info);
// (layer): a promise for the summary.
Napi::Value finish_layer(const Napi::CallbackInfo& info);
// (layer): a promise that is settled when nothing more is touched.
Napi::Value abort_layer(const Napi::CallbackInfo& info);

}  // namespace strata::addon
