// A file mapped for reading. The mapping shows the file as it is: a file that shrinks while it is
// mapped makes reads beyond its new end fault.
#pragma once

#include <cstddef>
#include <string>

namespace glq::checkpoint {

class MappedFile {
 public:
  // Throws Error(GLQ_E_IO) with the errno.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& o) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::string path_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

bool IsDirectory(const std::string& path);  // throws Error(GLQ_E_IO) if there is nothing
bool IsFile(const std::string& path);

}  // namespace glq::checkpoint
