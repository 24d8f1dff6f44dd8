#include "real/comm/mpi/mpi_transport.hpp"

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <limits>
#include <thread>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

/// How long a rank that leaves because of an error waits for the others to leave as well.
constexpr std::chrono::seconds kFarewell{2};

class MpiTransport final : public Transport {
 public:
  MpiTransport() : exceptions_(std::uncaught_exceptions()) {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    // The communication thread and the compute thread take turns.
    if (provided < MPI_THREAD_SERIALIZED)
      throw BackendError("MPI_Init_thread: this MPI does not support threads that take turns");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    char name[MPI_MAX_PROCESSOR_NAME] = "";
    int length = 0;
    check(MPI_Get_processor_name(name, &length), "MPI_Get_processor_name");
    hosts_.resize(static_cast<std::size_t>(size_));
    hosts_[static_cast<std::size_t>(rank_)] = name;
    void* tags = nullptr;
    int known = 0;
    check(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &tags, &known), "MPI_Comm_get_attr");
    if (!known || *static_cast<int*>(tags) < kTags - 1)
      throw BackendError(fmt::format("MPI_TAG_UB is {} on rank {} (host {}), {} or more needed",
                                     known ? *static_cast<int*>(tags) : 0, rank_, name, kTags - 1));
    check(MPI_Comm_dup(MPI_COMM_WORLD, &farewell_), "MPI_Comm_dup");
    hosts_ = gather(name);
  }
  ~MpiTransport() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    // MPI_Finalize waits for every rank. If this one failed alone, the others are not coming: abort_job() must still work.
    if (!finalized && (std::uncaught_exceptions() == exceptions_ || all_leave())) MPI_Finalize();
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::string& host(int rank) const override { return hosts_[static_cast<std::size_t>(rank)]; }
  std::string description() const override { return mpi_description(); }

  Request send(int to, int tag, std::span<const std::byte> data) override {
    const Request request = slot();
    check(MPI_Isend(data.data(), count(data.size()), MPI_BYTE, to, tag, MPI_COMM_WORLD, &requests_[index(request)]),
          "MPI_Isend");
    return request;
  }
  Request receive(int from, int tag, std::span<std::byte> data) override {
    const Request request = slot();
    check(MPI_Irecv(data.data(), count(data.size()), MPI_BYTE, from, tag, MPI_COMM_WORLD, &requests_[index(request)]),
          "MPI_Irecv");
    return request;
  }
  bool test(Request request) override {
    int done = 0;
    check(MPI_Test(&requests_[index(request)], &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done) free_.push_back(request);
    return done != 0;
  }
  bool cancel(Request request) override {
    MPI_Request& mine = requests_[index(request)];
    int done = 0;
    if (MPI_Cancel(&mine) != MPI_SUCCESS || MPI_Test(&mine, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done)
      return false;
    free_.push_back(request);
    return true;
  }
  Request begin_allreduce(std::span<float> values) override {
    const Request request = slot();
    check(MPI_Iallreduce(MPI_IN_PLACE, values.data(), count(values.size()), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD,
                         &requests_[index(request)]),
          "MPI_Iallreduce");
    return request;
  }
  std::vector<std::string> gather(const std::string& mine) override {
    const int length = count(mine.size());
    std::vector<int> lengths(static_cast<std::size_t>(size_)), begins(static_cast<std::size_t>(size_));
    check(MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD), "MPI_Allgather");
    std::int64_t total = 0;
    for (std::size_t r = 0; r < lengths.size(); ++r) {
      begins[r] = count(static_cast<std::size_t>(total));
      total += lengths[r];
    }
    std::string all(static_cast<std::size_t>(total), '\0');
    check(MPI_Allgatherv(mine.data(), length, MPI_BYTE, all.data(), lengths.data(), begins.data(), MPI_BYTE,
                         MPI_COMM_WORLD),
          "MPI_Allgatherv");
    std::vector<std::string> out;
    for (std::size_t r = 0; r < lengths.size(); ++r)
      out.push_back(all.substr(static_cast<std::size_t>(begins[r]), static_cast<std::size_t>(lengths[r])));
    return out;
  }
  void broadcast(std::span<std::byte> data, int root) override {
    constexpr std::size_t kChunk = std::size_t{1} << 30;
    for (std::size_t at = 0; at < data.size(); at += kChunk) {
      const auto part = data.subspan(at, std::min(kChunk, data.size() - at));
      check(MPI_Bcast(part.data(), count(part.size()), MPI_BYTE, root, MPI_COMM_WORLD), "MPI_Bcast");
    }
  }
  void barrier() override { check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

 private:
  bool all_leave() const {
    MPI_Request request = MPI_REQUEST_NULL;
    int done = MPI_Ibarrier(farewell_, &request) == MPI_SUCCESS ? 0 : -1;
    for (const auto end = std::chrono::steady_clock::now() + kFarewell;
         done == 0 && std::chrono::steady_clock::now() < end;) {
      if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
      if (done == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return done > 0;
  }
  static std::size_t index(Request request) { return static_cast<std::size_t>(request); }
  static int count(std::size_t n) {
    LOCKSTEP_EXPECTS(n <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
    return static_cast<int>(n);
  }
  Request slot() {
    if (free_.empty()) {
      free_.push_back(static_cast<Request>(requests_.size()));
      requests_.push_back(MPI_REQUEST_NULL);
    }
    const Request request = free_.back();
    free_.pop_back();
    return request;
  }
  void check(int code, const char* call) const {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    const std::string host = rank_ >= 0 && !hosts_.empty() ? hosts_[static_cast<std::size_t>(rank_)] : "?";
    throw BackendError(fmt::format("{} failed on rank {} (host {}): {} (code {})", call, rank_, host, text, code));
  }

  const int exceptions_;  ///< under way when the job was joined
  int rank_ = -1, size_ = 0;
  MPI_Comm farewell_ = MPI_COMM_NULL;
  std::vector<std::string> hosts_;
  std::vector<MPI_Request> requests_;
  std::vector<Request> free_;
};

}  // namespace

std::unique_ptr<Transport> mpi_transport() { return std::make_unique<MpiTransport>(); }

void abort_job(int code) {
  int ready = 0, finalized = 0;
  MPI_Initialized(&ready);
  MPI_Finalized(&finalized);
  if (ready && !finalized) MPI_Abort(MPI_COMM_WORLD, code);
}

std::string mpi_description() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text);
  return whole.substr(0, whole.find(',')).starts_with("Open MPI v")
             ? "Open MPI " + whole.substr(10, whole.find(',') - 10)
             : whole.substr(0, whole.find(','));
}

}  // namespace lockstep
