#include "real/comm/mpi/mpi_transport.hpp"

#include "core/base/error.hpp"

namespace lockstep {

std::unique_ptr<Transport> mpi_transport() {
  throw ConfigError("lockstep", "",
                    "this program was built without Open MPI; install libopenmpi-dev and build again, or run it alone");
}

void abort_job(int) {}

std::string mpi_description() { return "not built in (libopenmpi-dev was missing)"; }

}  // namespace lockstep
