// Which GPU a rank takes, and over what its gradients travel: decided from what all ranks see. Needs no GPU.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/spec/run_spec.hpp"
#include "real/comm/transport.hpp"

namespace lockstep::cuda {

/// What one rank sees of its node.
struct VisibleDevices {
  std::string host;
  std::vector<std::string>
      devices;  ///< names unique in the job, in the runtime's order; where a launcher hands out GPUs, only the rank's
};

enum class LaneKind { Nccl, HostStaged };

struct DeviceChoice {
  int device = 0;  ///< the runtime's number
  LaneKind lane = LaneKind::Nccl;
  int sharing = 1;      ///< ranks on this device, this one included
  std::string warning;  ///< for the user, the same on all ranks; empty: none
};

/// For rank `rank` of `ranks`: its number among the ranks that see the same devices, modulo these. NCCL unless two ranks anywhere in the job
/// take one device, which NCCL refuses, or `reduction` (run.allreduce.reduction) is not Planned, as only real/comm
/// sums in an order or through MPI; then host-staged, for all ranks. `wanted`: the user insists. Throws BackendError
/// naming every rank that sees no device; ConfigError (key "allreduce") if NCCL is wanted and cannot be. Pure; equal
/// ranks decide equally.
DeviceChoice choose_device(std::span<const VisibleDevices> ranks, int rank, Reduction reduction,
                           std::optional<LaneKind> wanted = std::nullopt);

/// Tells all ranks what this one sees; one gather.
std::vector<VisibleDevices> exchange_devices(Transport& transport, const std::vector<std::string>& mine);

/// Versions and facts for the description of a run.
struct DeviceFacts {
  std::string name;        ///< "NVIDIA H200"
  std::size_t memory = 0;  ///< bytes
  std::string driver;      ///< "580.95.05"; may be empty
  int driver_cuda = 0;     ///< newest CUDA of the driver, as the runtime writes it: 13000
  int runtime = 0;         ///< 13000
  std::size_t cudnn = 0;   ///< as cudnnGetVersion() writes it: 91002, or 8907; 0: not used
  int nccl = 0;            ///< as ncclGetVersion() writes it: 22809; 0: not used
};

/// "NVIDIA H200, 139 GiB, driver 580.95.05, CUDA 13.0, cuDNN 9.10.2, NCCL 2.28.9"; without the driver's own number
/// "driver for CUDA 13.0".
std::string to_text(const DeviceFacts& facts);

/// The number in the text of /proc/driver/nvidia/version; empty where it has another form.
std::string driver_number(const std::string& text);

}  // namespace lockstep::cuda
