// The same command on Node.
#pragma once

namespace strata::cli {

// Executes Node with the command's JavaScript. Returns an exit status, after a message, if there is no Node or no JavaScript.
int become_node();

// Of main, the program's name first: what become_node gives Node.
void set_arguments(char** arguments);

}  // namespace strata::cli
