// The same command on Node.
#pragma once

#include <string>
#include <vector>

namespace strata::cli {

// Executes Node with the command's JavaScript. Returns an exit status, after a message, if there is no Node or no JavaScript.
int become_node();

// Executes a program in place of this one, arguments[0]. Returns an exit status, after a message, if that cannot be.
int become(const std::vector<std::string>& arguments);

// Of main, the program's name first: what become_node gives Node.
void set_arguments(char** arguments);

}  // namespace strata::cli
