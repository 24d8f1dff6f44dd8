// The Python module `lockstep._core`: the functions of the program, each a call that returns text. The package beside it gives them types.
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "core/base/error.hpp"
#include "experiments/accuracy/accuracy_request.hpp"
#include "experiments/accuracy/accuracy_tables.hpp"
#include "experiments/check/links.hpp"
#include "experiments/check/report.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/output/report.hpp"
#include "experiments/parallel.hpp"
#include "experiments/prediction/predict.hpp"
#include "experiments/queries/collective.hpp"
#include "experiments/queries/costed_plan.hpp"
#include "experiments/queries/listing.hpp"
#include "experiments/sweep/plan.hpp"
#include "experiments/sweep/results.hpp"
#include "experiments/sweep/runner.hpp"
#include "experiments/validation/validation.hpp"

namespace py = pybind11;

namespace {

using namespace lockstep;
using Sets = std::vector<std::string>;

/// What the thread that works has reached, for the thread that holds the interpreter.
class Watched {
 public:
  bool reached(double fraction) {
    fraction_.store(fraction, std::memory_order_relaxed);
    return !stop_.load(std::memory_order_relaxed);
  }
  void stop() { stop_.store(true, std::memory_order_relaxed); }
  double fraction() const { return fraction_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> fraction_{0};
  std::atomic<bool> stop_{false};
};

/// Runs `work(watched)` in a thread of its own without the interpreter's lock. Meanwhile calls `progress(fraction)`, if not None, and lets
/// Ctrl-C through; an exception of either stops the work, which ends after the simulation that is under way, and is thrown then.
template <typename Work>
auto interruptibly(const py::object& progress, Work work) {
  Watched watched;
  auto result = std::async(std::launch::async, [&] { return work(watched); });
  std::optional<py::error_already_set> raised;
  for (bool ready = false; !ready;) {
    {
      const py::gil_scoped_release unlocked;
      ready = result.wait_for(std::chrono::milliseconds(20)) == std::future_status::ready;
    }
    if (ready || raised) continue;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (!progress.is_none()) progress(watched.fraction());
    } catch (py::error_already_set& error) {
      raised.emplace(error);
      watched.stop();
    }
  }
  if (raised) {
    try {
      result.get();
    } catch (...) {  // the user's own exception goes first
    }
    throw py::error_already_set(*raised);
  }
  return result.get();
}

/// Columns and rows of a table; `name` stands in messages.
std::pair<std::vector<std::string>, std::vector<std::vector<std::string>>> table(
    const std::string& text, const std::string& name, const std::vector<std::string>& columns) {
  const py::gil_scoped_release unlocked;
  const CsvTable csv = CsvTable::parse(text, name);
  csv.expect(columns);
  return {csv.columns(), csv.cells()};
}

std::string effective(const std::string& file, const Sets& sets, const std::string& data) {
  const py::gil_scoped_release unlocked;
  return write_run(read_inputs(file, sets, {data}).run);
}

/// result.json of the run, and its trace (empty unless asked for).
std::pair<std::string, std::string> simulate(const std::string& file, const Sets& sets, const std::string& data,
                                             bool curve, bool interval, bool explain, bool trace,
                                             const py::object& progress) {
  const auto work = [&](Watched& watched) {
    const SimulationReport report =
        predict_report(read_inputs(file, sets, {data}), file, {data}, {curve, interval, explain},
                       [&watched](double fraction, const std::string&) { return watched.reached(fraction); });
    return std::make_pair(to_json(report), trace ? to_trace(report.prediction.timeline) : std::string());
  };
  // A single simulation runs to its end whatever happens, so here: a new thread's memory is mapped page by page, 1 of 27 ms.
  if (progress.is_none() && !curve && !interval && !explain) {
    const py::gil_scoped_release unlocked;
    Watched unwatched;
    return work(unwatched);
  }
  return interruptibly(progress, work);
}

/// Columns and rows, as in results.csv of `lockstep sweep`.
std::pair<std::vector<std::string>, std::vector<SweepRow>> sweep(const std::string& file, const Sets& sets,
                                                                 const std::string& data, const Sets& overs,
                                                                 const std::string& per_gpu_batch, bool zip,
                                                                 bool efficiency, std::size_t jobs,
                                                                 const py::object& progress) {
  return interruptibly(progress, [&](Watched& watched) {
    const SweepRequest request{file, sets, overs, per_gpu_batch, zip, {data}};
    const SweepPlan plan = plan_sweep(request, [&](std::size_t, std::size_t) { return watched.reached(0); });
    std::vector<std::size_t> todo;
    for (const SweepPoint& point : plan.points) todo.push_back(point.index);
    std::vector<SweepRow> rows(plan.points.size());
    SweepJob job;
    job.threads = jobs > 0 ? jobs : usable_threads();
    job.efficiency = efficiency;
    job.finished = [&rows](const SweepRow& row) { rows[index_of(row)] = row; };
    job.progress = [&watched](double fraction, std::size_t) { return watched.reached(fraction); };
    run_sweep(request, plan, todo, job);
    return std::make_pair(sweep_columns(plan.axes, efficiency), rows);
  });
}

std::string collective(const AllreduceRequest& request, const std::string& data, const py::object& progress) {
  return interruptibly(progress, [&](Watched& watched) {
    BareAllreduce allreduce = bare_allreduce(request, {data});
    const auto sizes = sizes_of(request.sizes);
    std::vector<AllreduceRow> rows;
    for (const Bytes size : sizes) {
      if (!watched.reached(static_cast<double>(rows.size()) / static_cast<double>(sizes.size()))) break;
      rows.push_back(allreduce.at(size));
    }
    return to_json(rows, allreduce.inputs().library);
  });
}

std::string plan(const std::string& file, const Sets& sets, const std::string& data, bool simulate,
                 const py::object& progress) {
  return interruptibly(progress, [&](Watched& watched) {
    return to_json(
        plan_and_cost(read_inputs(file, sets, {data}), simulate,
                      [&watched](double fraction, const std::string&) { return watched.reached(fraction); }));
  });
}

std::string check_files(const std::vector<std::string>& names, const std::string& kind_word, bool all,
                        const std::string& data) {
  const py::gil_scoped_release unlocked;
  const DataPaths paths{data};
  const auto kind = check::asked_kind(kind_word);
  std::vector<check::FileReport> reports;
  for (const std::string& name : names) {
    for (const auto& file : check::named_files(name, paths, kind))
      reports.push_back(check::check_file(file, paths, kind));
  }
  if (all) {
    for (const auto& file : check::data_files(paths)) reports.push_back(check::check_file(file, paths, kind));
  }
  return check::to_json(reports);
}

std::string links(const std::string& cluster, const std::string& data) {
  const py::gil_scoped_release unlocked;
  return check::to_json(check::cables_of(read_cluster(cluster, {data})));
}

std::string choices(const std::string& what, const std::string& data) {
  const py::gil_scoped_release unlocked;
  return to_json(list_choices(what, {data}));
}

std::string predicted_and_published(const std::string& only, bool interval, const std::string& data,
                                    const std::string& experiments, std::size_t jobs, const py::object& progress) {
  return interruptibly(progress, [&](Watched& watched) {
    const auto rows = rows_named(read_validation(data), only);
    const auto results = validate_rows(rows, data, experiments, interval, jobs > 0 ? jobs : usable_threads(),
                                       [&](double fraction, const std::string&) { return watched.reached(fraction); });
    return to_json(results);
  });
}

/// Tables of `lockstep accuracy --csv`, by the names of their files.
std::map<std::string, std::string> accuracy(const Sets& series, const std::vector<double>& batches, double epochs,
                                            const std::string& data) {
  const py::gil_scoped_release unlocked;
  const PublishedAccuracy published = read_published_accuracy(data);
  const std::vector<AccuracyModel> models = requested_models({series, batches, epochs}, published);
  return {{"points", points_csv(published, models)},
          {"learning_curves", learning_curves_csv(published)},
          {"fits", fits_csv(models)},
          {"left_out", left_out_csv(models)},
          {"curves", curves_csv(models, epochs)},
          {"predictions", predictions_csv(models, batches.empty() ? default_batches() : batches, epochs)},
          {"caveat", kTunedSgdCaveat}};
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The simulator of Lockstep; use the package `lockstep`.";
  py::register_exception<ConfigError>(m, "ConfigError", PyExc_ValueError);
  py::register_exception<BackendError>(m, "BackendError", PyExc_RuntimeError);
  py::register_exception<InternalError>(m, "InternalError", PyExc_RuntimeError);
  m.def("version", &version);
  m.def("table", &table, py::arg("text"), py::arg("name"), py::arg("columns"));
  m.def("effective", &effective, py::arg("file"), py::arg("sets"), py::arg("data"));
  m.def("simulate", &simulate, py::arg("file"), py::arg("sets"), py::arg("data"), py::arg("curve"), py::arg("interval"),
        py::arg("explain"), py::arg("trace"), py::arg("progress") = py::none());
  m.def("accuracy", &accuracy, py::arg("series"), py::arg("batches"), py::arg("epochs"), py::arg("data"));
  m.def("sweep", &sweep, py::arg("file"), py::arg("sets"), py::arg("data"), py::arg("overs"), py::arg("per_gpu_batch"),
        py::arg("zip"), py::arg("efficiency"), py::arg("jobs"), py::arg("progress") = py::none());
  py::class_<AllreduceRequest>(m, "AllreduceRequest")
      .def(py::init<>())
      .def_readwrite("cluster", &AllreduceRequest::cluster)
      .def_readwrite("library", &AllreduceRequest::library)
      .def_readwrite("algorithm", &AllreduceRequest::algorithm)
      .def_readwrite("across", &AllreduceRequest::across)
      .def_readwrite("protocol", &AllreduceRequest::protocol)
      .def_readwrite("among", &AllreduceRequest::among)
      .def_readwrite("placement", &AllreduceRequest::placement)
      .def_readwrite("sizes", &AllreduceRequest::sizes)
      .def_readwrite("gpus", &AllreduceRequest::gpus)
      .def_readwrite("element_bytes", &AllreduceRequest::element_bytes)
      .def_readwrite("channels", &AllreduceRequest::channels)
      .def_readwrite("gpudirect", &AllreduceRequest::gpudirect)
      .def_readwrite("stagger", &AllreduceRequest::stagger)
      .def_readwrite("launch", &AllreduceRequest::launch);
  m.def("collective", &collective, py::arg("request"), py::arg("data"), py::arg("progress") = py::none());
  m.def("plan", &plan, py::arg("file"), py::arg("sets"), py::arg("data"), py::arg("simulate"),
        py::arg("progress") = py::none());
  m.def("check", &check_files, py::arg("names"), py::arg("kind"), py::arg("all"), py::arg("data"));
  m.def("links", &links, py::arg("cluster"), py::arg("data"));
  m.def("choices", &choices, py::arg("what"), py::arg("data"));
  m.def("validate", &predicted_and_published, py::arg("only"), py::arg("interval"), py::arg("data"),
        py::arg("experiments"), py::arg("jobs"), py::arg("progress") = py::none());
}
