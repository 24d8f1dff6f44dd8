#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/cli/command.hpp"

namespace lockstep::cli {

namespace {

/// Sub-commands and their long options, read from the parser itself, so that completion never lags behind.
std::string bash_script(const CLI::App& app) {
  std::string names, cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names += (names.empty() ? "" : " ") + command->get_name();
    std::string flags;
    for (const CLI::Option* option : command->get_options()) {
      for (const auto& name : option->get_lnames()) flags += " --" + name;
    }
    cases += fmt::format("    {}) flags=\"{}\" ;;\n", command->get_name(), flags.empty() ? "" : flags.substr(1));
  }
  return "_lockstep() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} flags=\"\"\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W \"" +
         names +
         "\" -- \"$word\")); return; fi\n"
         "  case ${COMP_WORDS[1]} in\n" +
         cases +
         "  esac\n"
         "  case $word in\n"
         "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
         "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
         "  esac\n"
         "}\n"
         "complete -o filenames -F _lockstep lockstep\n";
}

}  // namespace

CLI::App* add_completion(CLI::App& app, const Context&, Run& run) {
  auto shell = std::make_shared<std::string>("bash");
  CLI::App* command = app.add_subcommand("completion", "Print a shell completion script");
  command->add_option("shell", *shell, "bash, or zsh (through bashcompinit)")->capture_default_str();
  command->footer(
      "Examples:\n  source <(lockstep completion bash)\n  lockstep completion zsh > ~/.lockstep-completion; source it "
      "from ~/.zshrc");
  command->callback([&app, shell, &run] {
    run = [&app, shell] {
      if (*shell != "bash" && *shell != "zsh")
        throw ConfigError("completion", "shell", "\"" + *shell + "\" is not known; expected bash or zsh");
      fmt::print("{}{}", *shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "", bash_script(app));
      return static_cast<int>(kDone);
    };
  });
  return command;
}

}  // namespace lockstep::cli
