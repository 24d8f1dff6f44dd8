// Processes of a job that mpirun or srun started.
#pragma once

#include <memory>
#include <string>

#include "real/comm/transport.hpp"

namespace lockstep {

/// Joins the job: MPI_Init_thread, and MPI_Finalize in the destructor. Once per process. A destructor that runs because of an
/// exception waits at most seconds for all ranks to do the same, then leaves MPI as it is, for abort_job(). Throws
/// BackendError, and ConfigError where the program was built without Open MPI.
std::unique_ptr<Transport> mpi_transport();

/// Ends every process of the job at once, with this exit code: for a rank that cannot go on while others wait for it.
void abort_job(int code);

/// "Open MPI 4.1.4", or why there is none.
std::string mpi_description();

}  // namespace lockstep
