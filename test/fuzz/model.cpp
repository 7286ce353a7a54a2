#include "model.hpp"

#include <algorithm>
#include <sstream>

#include "core/plan.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace fuzz {
namespace {

class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}

  std::optional<std::uint64_t> number(std::size_t size) {
    if (left_ < size) return std::nullopt;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; i++) value |= std::uint64_t{at_[i]} << (8 * i);
    skip(size);
    return value;
  }

  std::optional<Data> bytes() {
    const std::optional<std::uint64_t> size = number(4);
    if (!size || *size > left_) return std::nullopt;
    Data data(at_, at_ + *size);
    skip(*size);
    return data;
  }

  std::optional<Data> string() {
    std::optional<Data> text = bytes();
    if (!text || left_ == 0 || *at_ != 0 || std::find(text->begin(), text->end(), 0) != text->end()) return std::nullopt;
    skip(1);
    return text;
  }

  [[nodiscard]] std::size_t left() const { return left_; }

 private:
  void skip(std::size_t size) {
    at_ += size;
    left_ -= size;
  }

  const std::uint8_t* at_;
  std::size_t left_;
};

bool read_items(Reader& reader, Field& field) {
  const std::optional<std::uint64_t> count = reader.number(4);
  if (!count) return false;
  for (std::uint64_t i = 0; i < *count; i++) {
    if (field.type == Type::strings) {
      std::optional<Data> text = reader.string();
      if (!text) return false;
      field.items.push_back(std::move(*text));
    } else {
      const std::optional<std::uint64_t> number = reader.number(4);
      if (!number) return false;
      field.numbers.push_back(static_cast<std::uint32_t>(*number));
    }
  }
  return true;
}

bool read_field(Reader& reader, Field& field) {
  switch (field.type) {
    case Type::u32:
    case Type::u64:
    case Type::boolean: {
      const std::optional<std::uint64_t> number = reader.number(field.type == Type::u64 ? 8 : 4);
      field.number = number.value_or(0);
      return number && (field.type != Type::boolean || *number <= 1);
    }
    case Type::string:
    case Type::bytes: {
      std::optional<Data> data = field.type == Type::string ? reader.string() : reader.bytes();
      if (data) field.data = std::move(*data);
      return data.has_value();
    }
    case Type::strings:
    case Type::u32s: return read_items(reader, field);
  }
  return false;
}

void put(Data& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; i++) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void put_bytes(Data& out, const Data& data, bool string) {
  put(out, data.size(), 4);
  out.insert(out.end(), data.begin(), data.end());
  if (string) out.push_back(0);
}

void put_field(Data& out, const Field& field) {
  switch (field.type) {
    case Type::u32:
    case Type::boolean: put(out, field.number, 4); break;
    case Type::u64: put(out, field.number, 8); break;
    case Type::string:
    case Type::bytes: put_bytes(out, field.data, field.type == Type::string); break;
    case Type::strings:
      put(out, field.items.size(), 4);
      for (const Data& item : field.items) put_bytes(out, item, true);
      break;
    case Type::u32s:
      put(out, field.numbers.size(), 4);
      for (const std::uint32_t number : field.numbers) put(out, number, 4);
      break;
  }
}

std::size_t below(std::minstd_rand& random, std::size_t limit) { return limit == 0 ? 0 : random() % limit; }

// Mostly small changes by the fuzzer, which knows what the code compares with; sometimes a text as long as the limits that code has.
void mutate_data(Data& data, bool string, std::minstd_rand& random) {
  constexpr std::size_t lengths[] = {0, 1, 63, 64, 255, 256, 257, 511, 512, 4094, 4095, 4096, 4097, 9000};
  if (below(random, 4) == 0) {
    const std::size_t length = lengths[below(random, std::size(lengths))];
    const std::uint8_t fill = string && below(random, 3) == 0 ? '/' : 'a';
    data.resize(length, fill);
  } else {
    const std::size_t size = data.size();
    data.resize(size + 16);
    data.resize(LLVMFuzzerMutate(data.data(), size, data.size()));
  }
  if (string) std::replace(data.begin(), data.end(), std::uint8_t{0}, std::uint8_t{'/'});
}

void mutate_number(std::uint64_t& number, std::size_t size) {
  std::uint8_t bytes[8];
  for (std::size_t i = 0; i < size; i++) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  const std::size_t length = LLVMFuzzerMutate(bytes, size, size);
  number = 0;
  for (std::size_t i = 0; i < length; i++) number |= std::uint64_t{bytes[i]} << (8 * i);
}

void mutate_items(Field& field, std::minstd_rand& random) {
  const std::size_t count = field.type == Type::strings ? field.items.size() : field.numbers.size();
  const std::size_t at = below(random, count + 1);
  const std::size_t choice = below(random, 3);
  if (field.type == Type::strings) {
    const auto place = field.items.begin() + static_cast<std::ptrdiff_t>(at);
    if (at == count || choice == 0)
      field.items.insert(place, Data{'x'});
    else if (choice == 1)
      field.items.erase(place);
    else
      mutate_data(*place, true, random);
  } else {
    const auto place = field.numbers.begin() + static_cast<std::ptrdiff_t>(at);
    if (at == count || choice == 0)
      field.numbers.insert(place, static_cast<std::uint32_t>(random()));
    else
      field.numbers.erase(place);
  }
}

void mutate_field(Field& field, std::minstd_rand& random) {
  switch (field.type) {
    case Type::boolean: field.number ^= 1; break;
    case Type::u32: mutate_number(field.number, 4); break;
    case Type::u64: mutate_number(field.number, 8); break;
    case Type::string:
    case Type::bytes: mutate_data(field.data, field.type == Type::string, random); break;
    case Type::strings:
    case Type::u32s: mutate_items(field, random); break;
  }
}

Operation some_operation(std::minstd_rand& random) {
  auto at = table().begin();
  std::advance(at, static_cast<std::ptrdiff_t>(below(random, table().size())));
  Operation operation = blank(at->first);
  for (Field& field : operation.fields) mutate_field(field, random);
  return operation;
}

}  // namespace

const std::map<std::uint32_t, std::vector<Type>>& table() {
  static const auto result = [] {
    const std::map<std::string, Type> types = {{"u32", Type::u32},     {"u64", Type::u64},         {"bool", Type::boolean}, {"string", Type::string},
                                               {"bytes", Type::bytes}, {"strings", Type::strings}, {"u32s", Type::u32s}};
    std::string text(strata::wire_table(nullptr, 0) + 1, '\0');
    strata::wire_table(text.data(), text.size());
    std::map<std::uint32_t, std::vector<Type>> operations;
    std::istringstream lines(text.c_str());
    std::uint32_t code;
    std::string name;
    std::string fields;
    while (lines >> code >> name && std::getline(lines, fields)) {
      std::vector<Type>& list = operations[code];
      std::istringstream parts(fields);
      for (std::string part; std::getline(parts, part, ',');) {
        const std::size_t colon = part.find(':');
        if (colon != std::string::npos) list.push_back(types.at(part.substr(colon + 1)));
      }
    }
    return operations;
  }();
  return result;
}

Operation blank(std::uint32_t code) {
  Operation operation{code, {}};
  for (const Type type : table().at(code)) operation.fields.push_back({type});
  return operation;
}

std::optional<Operations> decode(const std::uint8_t* data, std::size_t size) {
  Reader reader(data, size);
  if (reader.number(4) != strata::plan_magic || reader.number(4) != strata::plan_version || reader.number(4) != size) return std::nullopt;
  const std::optional<std::uint64_t> count = reader.number(4);
  if (!count) return std::nullopt;
  Operations operations;
  for (std::uint64_t i = 0; i < *count; i++) {
    const std::optional<std::uint64_t> code = reader.number(4);
    const std::optional<Data> payload = reader.bytes();
    if (!code || !payload) return std::nullopt;
    if (table().count(static_cast<std::uint32_t>(*code)) == 0) return std::nullopt;
    Operation operation = blank(static_cast<std::uint32_t>(*code));
    Reader fields(payload->data(), payload->size());
    for (Field& field : operation.fields) {
      if (!read_field(fields, field)) return std::nullopt;
    }
    if (fields.left() != 0) return std::nullopt;
    operations.push_back(std::move(operation));
  }
  if (reader.left() != 0) return std::nullopt;
  return operations;
}

Data encode(const Operations& operations) {
  Data body;
  for (const Operation& operation : operations) {
    Data payload;
    for (const Field& field : operation.fields) put_field(payload, field);
    put(body, operation.code, 4);
    put_bytes(body, payload, false);
  }
  constexpr std::size_t header_size = 16;
  Data whole;
  put(whole, strata::plan_magic, 4);
  put(whole, strata::plan_version, 4);
  put(whole, header_size + body.size(), 4);
  put(whole, operations.size(), 4);
  whole.insert(whole.end(), body.begin(), body.end());
  return whole;
}

void mutate(Operations& operations, std::minstd_rand& random) {
  const std::size_t at = below(random, operations.size());
  const auto place = operations.begin() + static_cast<std::ptrdiff_t>(at);
  switch (operations.empty() ? 0 : below(random, 8)) {
    case 0: operations.insert(place, some_operation(random)); break;
    case 1: operations.erase(place); break;
    case 2: {
      const Operation copy = *place;
      operations.insert(operations.begin() + static_cast<std::ptrdiff_t>(below(random, operations.size() + 1)), copy);
      break;
    }
    case 3: std::swap(*place, operations[below(random, operations.size())]); break;
    default:
      if (!place->fields.empty()) mutate_field(place->fields[below(random, place->fields.size())], random);
  }
}

}  // namespace fuzz
