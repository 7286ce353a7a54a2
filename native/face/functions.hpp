// What the TypeScript can ask of the machine, once for every engine: src/host/native.ts is the other side of this table.
#pragma once

#include "../core/host/attach.hpp"
#include "../core/host/cgroup.hpp"
#include "../core/host/clock.hpp"
#include "../core/host/command.hpp"
#include "../core/host/event.hpp"
#include "../core/host/file.hpp"
#include "../core/host/foreground.hpp"
#include "../core/host/keeper.hpp"
#include "../core/host/lock.hpp"
#include "../core/host/log_file.hpp"
#include "../core/host/notify.hpp"
#include "../core/host/process.hpp"
#include "../core/host/socket.hpp"
#include "../core/host/terminal.hpp"
#include "../core/layer/blob.hpp"
#include "../core/layer/merged.hpp"
#include "../core/layer/new_layer.hpp"
#include "../core/layer/scan.hpp"
#include "../core/layer/tree.hpp"
#include "../core/sys.hpp"
#include "call.hpp"

namespace strata::face {

Status close_descriptor(int descriptor);
Outcome<Fd> receive_descriptor(const Duplicate& socket);
// Bytes are characters up to U+00FF in JavaScript.
Outcome<std::optional<std::string>> exchange(const Duplicate& socket, std::string_view bytes, int timeout);
Outcome<std::optional<Packet>> exchange_packet(const Duplicate& socket, std::string_view bytes, int timeout);
Status send_descriptor_to(int socket, int descriptor, std::string_view text);

Outcome<Nothing> amend_plan(const PlanBytes& plan);
// `stdio`: what becomes 0, 1, 2, and whatever follows.
Outcome<Launched> launch_plan(const PlanBytes& plan, const std::vector<int>& stdio, int preserve, int console, int start);
// Is it at the hooks, and not ready? After a failure the process has been killed and reaped, and `sync` is closed; the pidfd stays for `abandon`.
// `agent`: the path of its socket and what it is told, or nothing.
Outcome<bool> settle_launched(int pidfd, int sync, const std::vector<std::string>& agent);
// Was it at the hooks and is ready now? If not, `sync` has done its service and is closed. After a failure as above.
Outcome<bool> proceed_launched(int pidfd, int sync, bool waits_for_start, const std::vector<std::string>& agent);
// `sync` is closed; after a failure as above.
Outcome<Nothing> await_launched(int pidfd, int sync, const std::vector<std::string>& agent);
// Kills and reaps the process, which may be gone already, and closes both; `sync` may be -1.
void abandon_launched(int pidfd, int sync);
Outcome<Nothing> start_container(const std::string& socket, int pidfd, const std::vector<std::string>& agent);
bool awaits_start_at(const std::string& socket);

// The lists belong together by position.
Status remove_cgroups(const std::vector<std::string>& hierarchies, const std::vector<std::string>& paths, int timeout);
std::optional<host::WindowSize> window_size();
// Hexadecimal digits of so many random bytes, 64 at most.
Outcome<std::string> random_digits(unsigned count);

// The core's table of operations, which a test compares with the one of TypeScript.
std::string wire_table_text();
// Hexadecimal digits, for tests.
std::string plan_bytes(const PlanBytes& plan);
// Those of the names that no system call has, as far as libseccomp knows.
std::vector<std::string> unknown_system_calls(const std::vector<std::string>& names);
// Version of the libseccomp that is linked in.
std::string libseccomp_version();

// Tells a face about every function. `now` is for what takes no time worth the name, `later` for what may: a face that has an event loop to keep
// running does that elsewhere, and JavaScript gets a promise. Waiting for an exit is each face's own, for an event loop can wait for many at once.
template <class Face>
void describe(Face& face) {
  face.template now<host::read_text>("readText");
  face.template now<host::read_all>("readAll");
  face.template now<host::write_text>("writeText");
  face.template now<host::create_file>("createFile");
  face.template now<host::replace_file>("replaceFile");
  face.template now<host::append_file>("appendFile");
  face.template now<host::write_all>("writeAll");
  face.template now<host::file_status>("stat");
  face.template now<host::device_status>("device");
  face.template now<host::list_directory>("list");
  face.template now<host::make_directory>("makeDirectory");
  face.template now<host::make_directories>("makeDirectories");
  face.template now<host::make_directory_like>("makeDirectoryLike");
  face.template now<host::set_label>("setLabel");
  face.template now<host::make_link>("makeLink");
  face.template now<host::remove_file>("removeFile");
  face.template now<host::remove_directory>("removeDirectory");
  face.template now<host::set_group>("setGroup");
  face.template now<host::open_path>("openFile");
  face.template now<host::real_path>("realPath");
  face.template now<host::working_directory>("workingDirectory");
  face.template now<sys::geteuid>("userId");
  face.template now<host::timestamp>("timestamp");
  face.template now<host::try_lock>("tryLock");
  face.template later<layer::list_changes>("changes");
  face.template now<host::try_lock_for>("lock");
  face.template now<host::rename_file>("rename");
  face.template later<host::sync_file>("syncFile");
  face.template later<host::sync_file_system>("syncFileSystem");
  face.template now<random_digits>("randomDigits");

  face.template now<close_descriptor>("close");
  face.template now<host::listen_socket>("listen");
  face.template now<host::connect_socket>("connect");
  face.template now<host::socket_pair>("socketPair");
  face.template now<host::packet_pair>("packetPair");
  face.template now<host::make_pipe>("pipe");
  face.template later<receive_descriptor>("receiveDescriptor");
  face.template later<exchange>("exchange");
  face.template later<exchange_packet>("exchangePacket");
  face.template now<send_descriptor_to>("sendDescriptor");
  face.template now<host::notify_socket>("notifySocket");
  face.template now<host::bind_notify>("bindNotify");
  face.template now<host::connect_notify>("connectNotify");
  face.template later<host::await_ready>("awaitReady");
  face.template later<host::tell_ready>("tellReady");

  face.template later<launch_plan>("launch");
  face.template now<amend_plan>("amend");
  face.template later<settle_launched>("settle");
  face.template later<proceed_launched>("proceed");
  face.template later<await_launched>("awaitExecution");
  face.template later<abandon_launched>("abandon");
  face.template later<start_container>("start");
  face.template now<awaits_start_at>("awaitsStart");

  face.template now<host::open_process>("openProcess");
  face.template now<host::send_signal>("signal");
  face.template now<host::signal_cgroup>("signalCgroup");
  face.template now<host::watch_memory>("watchMemory");
  face.template later<host::wait_event>("waitEvent");
  face.template later<remove_cgroups>("removeCgroups");
  face.template later<host::run_command>("run");
  face.template later<host::foreground>("foreground");
  face.template now<window_size>("windowSize");
  face.template now<host::hold_signals>("holdSignals");
  face.template now<host::interruption>("interruption");
  face.template later<host::attach>("attach");
  face.template now<host::open_log>("openLog");
  face.template now<host::is_file_at>("isFileAt");
  face.template now<host::read_lines>("readLines");
  face.template now<host::last_lines>("lastLines");
  face.template now<host::divide>("divide");
  face.template now<host::tell>("tell");
  face.template now<host::keep>("keep");
  face.template now<sys::exit_group>("exitNow");
  face.template now<host::become>("become");

  face.template later<layer::remove_tree>("removeTree");
  face.template later<layer::sync_tree>("syncTree");
  face.template later<layer::disk_usage>("diskUsage");
  face.template now<layer::read_layered>("readLayered");
  face.template later<layer::copy_layered>("copyLayered");

  face.template now<layer::sha256>("sha256");
  face.template later<layer::begin_layer>("beginNewLayer");
  face.template later<layer::next_records>("nextRecords");
  face.template later<layer::write_archive>("writeArchive");
  face.template later<layer::finish_layer>("finishNewLayer");
  face.template now<layer::end_layer>("endNewLayer");

  face.template now<wire_table_text>("wireTable");
  face.template now<plan_bytes>("planBytes");
  face.template now<unknown_system_calls>("unknownSystemCalls");
  face.template now<libseccomp_version>("libseccompVersion");
}

}  // namespace strata::face
