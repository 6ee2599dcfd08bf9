#include "checkpoint/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "glq/base.h"

namespace glq::checkpoint {
namespace {

[[noreturn]] void FailIo(const char* what, const std::string& path, int code) {
  throw Error(GLQ_E_IO, std::string(what) + " \"" + path + "\": " + std::generic_category().message(code),
              GLQ_NATIVE_OS, code);
}

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) FailIo("cannot open", path, errno);
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file(path);
  struct stat info;
  if (fstat(file.get(), &info) != 0) FailIo("cannot examine", path, errno);
  if (S_ISDIR(info.st_mode)) FailIo("cannot read", path, EISDIR);
  if (!S_ISREG(info.st_mode)) FailIo("not a regular file:", path, EINVAL);
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* memory = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (memory == MAP_FAILED) FailIo("cannot map", path, errno);
  data_ = static_cast<std::byte*>(memory);
}

MappedFile::MappedFile(MappedFile&& o) noexcept
    : path_(std::move(o.path_)), data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, size_);
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) FailIo("cannot examine", path, errno);
  return S_ISDIR(info.st_mode);
}

bool IsFile(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

}  // namespace glq::checkpoint
