// The same command on Node.
#pragma once

namespace strata::cli {

// Executes Node with the command's JavaScript. Returns an exit status, after a message, if there is no Node or no JavaScript.
int become_node(char** arguments);

}  // namespace strata::cli
