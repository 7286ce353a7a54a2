// The heap of the program, which is the JavaScript engine's above all, and the image of it that a build leaves in the program.
//
// Making a QuickJS context, reading the bytecode and evaluating the modules takes as long as everything that a verb does with them. None of it
// depends on the command line, so the build does it once: a program that has no image yet evaluates the bundle in the section `.strata.heap` of its
// own data, writes that section out, and objcopy puts it into the finished program. The section has the same address in both, and so has
// everything that the heap points to, for the program is linked to fixed addresses. The kernel maps it like any other data: what a verb does not
// touch is never read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <quickjs/quickjs.h>

#include "../core/error.hpp"

namespace strata::cli {

// What is in the heap when the bundle has been evaluated.
struct Program {
  JSRuntime* runtime;
  JSContext* context;
  JSValue native;  // the object whose `main` the bundle has set
};

// For JS_NewRuntime2; a process has one heap. Small blocks are cut from large ones and kept for their next use.
const JSMallocFunctions& heap_functions();

// For all that is not JavaScript's, C++ (runtime.cpp) and C (libc.cpp): as malloc(3) and its kin. Such a block is never in an image.
void* new_block(std::size_t size);
void* resize_block(void* block, std::size_t size);
void delete_block(void* block);
std::size_t usable_size(const void* block);

// Where the blocks of an image are to lie: for each, in the order in which they are cut, the number of its group, or 0 for one that no verb of the
// training touches. Groups lie one behind the other at the start of the image.
struct Layout {
  std::vector<std::uint32_t> sizes;  // of the groups, bytes; of group 1 first
  std::vector<std::uint8_t> groups;  // of the blocks
};
constexpr std::size_t most_groups = 255;

// From here on until write_image, blocks of JavaScript are cut from the section. `layout`: without one they lie as they come; it must outlive that.
void begin_image(const Layout* layout);

// What a training learns a layout from: the same blocks, each on pages of its own, in the order in which they are cut.
struct Ground {
  unsigned char* start = nullptr;
  std::vector<std::uint32_t> sizes;   // of the blocks, bytes
  std::vector<std::uint32_t> blocks;  // by page: whose it is
};

constexpr std::size_t ground_page = 4096;

// From here on until end_ground, blocks of JavaScript are cut from a training ground; false if there is no memory for one.
bool begin_ground();
Ground end_ground();
// Is there an image? A failure if there is one of another build.
Result<bool> has_image();
Program image_program();
// Writes the section with all that is in it, and how to find it again. Nothing may be allocated after that.
Status write_image(const char* path, const Program& program);

}  // namespace strata::cli
