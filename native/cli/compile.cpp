// Built and run by the build: compiles the bundle to bytecode with the library that the command is linked with.
//
//   strata-compile BUNDLE BYTECODE
#include <cstdio>
#include <string>

#include <quickjs/quickjs.h>

namespace {

int complain(const char* what, const char* name) {
  std::fprintf(stderr, "strata-compile: %s %s\n", what, name);
  return 1;
}

bool read_file(const char* path, std::string& ret_text) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) return false;
  char buffer[65536];
  for (std::size_t size; (size = std::fread(buffer, 1, sizeof buffer, file)) > 0;) ret_text.append(buffer, size);
  const bool whole = std::ferror(file) == 0;
  return std::fclose(file) == 0 && whole;
}

bool write_file(const char* path, const std::uint8_t* data, std::size_t size) {
  std::FILE* file = std::fopen(path, "wb");
  if (file == nullptr) return false;
  const bool whole = std::fwrite(data, 1, size, file) == size;
  return std::fclose(file) == 0 && whole;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return complain("needs two arguments:", "BUNDLE BYTECODE");
  std::string source;
  if (!read_file(arguments[1], source)) return complain("cannot read", arguments[1]);
  JSRuntime* runtime = JS_NewRuntime();
  // Neither source nor lines: functions keep their names, which is what `--debug` shows.
  JS_SetStripInfo(runtime, JS_STRIP_DEBUG);
  JSContext* context = JS_NewContext(runtime);
  const JSValue compiled = JS_Eval(context, source.c_str(), source.size(), "strata", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(compiled)) return complain(JS_ToCString(context, JS_GetException(context)), arguments[1]);
  std::size_t size = 0;
  const std::uint8_t* bytecode = JS_WriteObject(context, &size, compiled, JS_WRITE_OBJ_BYTECODE);
  if (bytecode == nullptr || !write_file(arguments[2], bytecode, size)) return complain("cannot write", arguments[2]);
  return 0;  // the heap goes with the process
}
