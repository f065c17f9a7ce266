# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_lambdactl_global_optspecs
    string join \n config= stage= region= profile= local local-dir= output= q/quiet v/verbose color= yes h/help V/version
end

function __fish_lambdactl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_lambdactl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_lambdactl_using_subcommand
    set -l cmd (__fish_lambdactl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c lambdactl -n "__fish_lambdactl_needs_command" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_needs_command" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_needs_command" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_needs_command" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_needs_command" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_needs_command" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_needs_command" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_needs_command" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -s V -l version -d 'Print version'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "deploy" -d 'Take a function from source to live'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "plan" -d 'Show what `deploy` would do, without doing it'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "build" -d 'Build the image and print its digest'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "push" -d 'Put an image into the repository and print REPOSITORY@DIGEST'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "check" -d 'Hold an image against Lambda\'s rules, without deploying it'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "dev" -d 'Deploy to the local cloud, again with every change, and show the log'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "watch" -d 'Follow a function until it settles'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "status" -d 'Show what is live: state, image, source commit, configuration'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "wake" -d 'Re-activate a function that nobody used for weeks'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "invoke" -d 'Call a function and print its response'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "logs" -d 'Show the log lines of a function'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "run" -d 'Call a program as a function, without an image'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "policy" -d 'Show or mend who may do what: Lambda with the repository, and you with all of it'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "doctor" -d 'Check everything a deployment needs, and say how to mend what is missing'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "local" -d 'Run, inspect or wipe the embedded local cloud'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c lambdactl -n "__fish_lambdactl_needs_command" -f -a "man" -d 'Write the man pages of every command into a directory'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l role -d 'Execution role, by ARN or name; required to create a function' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l memory-size -d 'Memory in MB, 128 to 10240' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l timeout -d 'Seconds a call may take, 1 to 900' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l description -d 'Description of the function' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l ephemeral-storage -d 'Size of /tmp in MB, 512 to 10240' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l entry-point -d 'Use these words instead of the image\'s ENTRYPOINT; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l command -d 'Use these words instead of the image\'s CMD; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l working-directory -d 'Use this directory instead of the image\'s WORKDIR; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l tags -d 'Set these tags on the function; others stay' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l set-env-vars -d 'Set these variables and no others' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l update-env-vars -d 'Set these variables besides those of the configuration file; the others stay' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l remove-env-vars -d 'Take these variables away' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l image -d 'Use an image that exists: docker:NAME[:TAG], oci:DIR[:TAG], archive:FILE, or an ECR reference' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l context -d 'Send this directory to the builder' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l dockerfile -d 'Build with this Dockerfile [default: Dockerfile in the context]' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l target -d 'Stop at this stage of the Dockerfile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l build-arg -d 'Set an ARG of the Dockerfile; may be repeated' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l builder -d 'Who builds the Dockerfile: append (without an engine, where its layers can be made here), engine (Docker), or auto: append where possible' -r -f -a "auto\t''
append\t''
engine\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l compression -d 'Compress layers that are made here at this level: fast, default, best, or 1 to 9' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l build-command -d 'Run this program before the image is built, in the directory of the configuration' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l repository -d 'Push to this ECR repository, by name or URI [default: the function\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l allow -d 'Turn this rule of the check off; may be repeated (`lambdactl check --rules` lists them)' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l wait-timeout -d 'Wait this long for the function to settle, such as 90s or 5m' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l tag -d 'Tag the pushed image, besides its digest' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -s j -l jobs -d 'Work on this many functions at the same time' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l clear-env-vars -d 'Take all variables away, also those of the configuration file'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l no-create-repository -d 'Fail instead of creating a repository that does not exist'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l create-role -d 'Make a basic execution role where there is none (always with `--local`)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l dry-run -d 'Show what would be done and do nothing (the same as `lambdactl plan`)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l no-wait -d 'Do not wait until the function has settled'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l fail-fast -d 'Stop all of them when one fails'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand deploy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l role -d 'Execution role, by ARN or name; required to create a function' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l memory-size -d 'Memory in MB, 128 to 10240' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l timeout -d 'Seconds a call may take, 1 to 900' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l description -d 'Description of the function' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l ephemeral-storage -d 'Size of /tmp in MB, 512 to 10240' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l entry-point -d 'Use these words instead of the image\'s ENTRYPOINT; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l command -d 'Use these words instead of the image\'s CMD; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l working-directory -d 'Use this directory instead of the image\'s WORKDIR; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l tags -d 'Set these tags on the function; others stay' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l set-env-vars -d 'Set these variables and no others' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l update-env-vars -d 'Set these variables besides those of the configuration file; the others stay' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l remove-env-vars -d 'Take these variables away' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l image -d 'Use an image that exists: docker:NAME[:TAG], oci:DIR[:TAG], archive:FILE, or an ECR reference' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l context -d 'Send this directory to the builder' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l dockerfile -d 'Build with this Dockerfile [default: Dockerfile in the context]' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l target -d 'Stop at this stage of the Dockerfile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l build-arg -d 'Set an ARG of the Dockerfile; may be repeated' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l builder -d 'Who builds the Dockerfile: append (without an engine, where its layers can be made here), engine (Docker), or auto: append where possible' -r -f -a "auto\t''
append\t''
engine\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l compression -d 'Compress layers that are made here at this level: fast, default, best, or 1 to 9' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l build-command -d 'Run this program before the image is built, in the directory of the configuration' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l repository -d 'Push to this ECR repository, by name or URI [default: the function\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l allow -d 'Turn this rule of the check off; may be repeated (`lambdactl check --rules` lists them)' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l clear-env-vars -d 'Take all variables away, also those of the configuration file'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l no-create-repository -d 'Fail instead of creating a repository that does not exist'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l create-role -d 'Make a basic execution role where there is none (always with `--local`)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l exit-code -d 'End with code 3 where changes are pending'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l image -d 'Use an image that exists: docker:NAME[:TAG], oci:DIR[:TAG], archive:FILE, or an ECR reference' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l context -d 'Send this directory to the builder' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l dockerfile -d 'Build with this Dockerfile [default: Dockerfile in the context]' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l target -d 'Stop at this stage of the Dockerfile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l build-arg -d 'Set an ARG of the Dockerfile; may be repeated' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l builder -d 'Who builds the Dockerfile: append (without an engine, where its layers can be made here), engine (Docker), or auto: append where possible' -r -f -a "auto\t''
append\t''
engine\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l compression -d 'Compress layers that are made here at this level: fast, default, best, or 1 to 9' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l build-command -d 'Run this program before the image is built, in the directory of the configuration' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l allow -d 'Turn this rule of the check off; may be repeated (`lambdactl check --rules` lists them)' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l image -d 'Use an image that exists: docker:NAME[:TAG], oci:DIR[:TAG], archive:FILE, or an ECR reference' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l context -d 'Send this directory to the builder' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l dockerfile -d 'Build with this Dockerfile [default: Dockerfile in the context]' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l target -d 'Stop at this stage of the Dockerfile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l build-arg -d 'Set an ARG of the Dockerfile; may be repeated' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l builder -d 'Who builds the Dockerfile: append (without an engine, where its layers can be made here), engine (Docker), or auto: append where possible' -r -f -a "auto\t''
append\t''
engine\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l compression -d 'Compress layers that are made here at this level: fast, default, best, or 1 to 9' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l build-command -d 'Run this program before the image is built, in the directory of the configuration' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l repository -d 'Push to this ECR repository, by name or URI [default: the function\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l tag -d 'Tag the pushed image, besides its digest' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l allow -d 'Turn this rule of the check off; may be repeated (`lambdactl check --rules` lists them)' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l no-create-repository -d 'Fail instead of creating a repository that does not exist'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand push" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l memory-size -d 'Memory in MB, 128 to 10240' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l timeout -d 'Seconds a call may take, 1 to 900' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l ephemeral-storage -d 'Size of /tmp in MB, 512 to 10240' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l entry-point -d 'Use these words instead of the image\'s ENTRYPOINT; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l command -d 'Use these words instead of the image\'s CMD; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l working-directory -d 'Use this directory instead of the image\'s WORKDIR; \'\' gives it back' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l set-env-vars -d 'Set these variables and no others' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l update-env-vars -d 'Set these variables besides those of the configuration file; the others stay' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l remove-env-vars -d 'Take these variables away' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l image -d 'Use an image that exists: docker:NAME[:TAG], oci:DIR[:TAG], archive:FILE, or an ECR reference' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l context -d 'Send this directory to the builder' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l dockerfile -d 'Build with this Dockerfile [default: Dockerfile in the context]' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l target -d 'Stop at this stage of the Dockerfile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l build-arg -d 'Set an ARG of the Dockerfile; may be repeated' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l builder -d 'Who builds the Dockerfile: append (without an engine, where its layers can be made here), engine (Docker), or auto: append where possible' -r -f -a "auto\t''
append\t''
engine\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l compression -d 'Compress layers that are made here at this level: fast, default, best, or 1 to 9' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l build-command -d 'Run this program before the image is built, in the directory of the configuration' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l allow -d 'Turn this rule of the check off; may be repeated (`lambdactl check --rules` lists them)' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l runner -d 'What runs functions on this machine' -r -f -a "auto\t''
container\t''
sandbox\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l sarif -d 'Write what is found to this file as well, in SARIF 2.1.0' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l clear-env-vars -d 'Take all variables away, also those of the configuration file'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l run -d 'Start the image if it passes, and wait until it asks for its first event'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l with-credentials -d 'Give functions that run on this machine the credentials in AWS_ACCESS_KEY_ID and its like, instead of dummies'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l snap-start -d 'Check what versions that start from a snapshot need, too'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l rules -d 'List all rules and end'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l runner -d 'What runs functions on this machine' -r -f -a "auto\t''
container\t''
sandbox\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l url -d 'Give the function a URL, and print it'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l with-credentials -d 'Give functions that run on this machine the credentials in AWS_ACCESS_KEY_ID and its like, instead of dummies'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand dev" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l wait-timeout -d 'Wait this long for the function to settle, such as 90s or 5m' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l wait-timeout -d 'Wait this long for the function to settle, such as 90s or 5m' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand wake" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l payload -d 'The event [default: standard input, or {} where that is a terminal or empty]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l payload-file -d 'Read the event from a file; `-` is standard input' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l client-context -d 'What a client of the mobile SDK would send along' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l qualifier -d 'Call this version or alias' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l runner -d 'What runs functions on this machine' -r -f -a "auto\t''
container\t''
sandbox\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l log-tail -d 'Show the last 4 KB of the function\'s log on standard error'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l async -d 'Do not wait for the response'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l stream -d 'Print the response while it comes, also one of more than 6 MB'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l with-credentials -d 'Give functions that run on this machine the credentials in AWS_ACCESS_KEY_ID and its like, instead of dummies'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand invoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l since -d 'Begin so long ago' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l filter -d 'Show lines that match a filter pattern of CloudWatch Logs: words, "phrases", -exclusions' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -s f -l follow -d 'Go on with new lines until Ctrl-C'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l payload -d 'The event [default: standard input, or {} where that is a terminal or empty]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l payload-file -d 'Read the event from a file; `-` is standard input' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l client-context -d 'What a client of the mobile SDK would send along' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l timeout -d 'Seconds the answer may take, once the program has started' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l memory-size -d 'Memory the program is told it has, in MB' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -f -a "show" -d 'Show the repository\'s policy, whether Lambda may pull, and what rights a deployment needs'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -f -a "ensure" -d 'Let Lambda pull from the repository, and keep every other statement'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and not __fish_seen_subcommand_from show ensure iam" -f -a "iam" -d 'Print the least IAM policy of whoever deploys, as JSON'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l repository -d 'Push to this ECR repository, by name or URI [default: the function\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l for-account -d 'Accounts whose functions pull from the repository [default: the caller\'s]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l no-create-repository -d 'Fail instead of creating a repository that does not exist'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l repository -d 'Push to this ECR repository, by name or URI [default: the function\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l for-account -d 'Accounts whose functions pull from the repository [default: the caller\'s]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l no-create-repository -d 'Fail instead of creating a repository that does not exist'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from ensure" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l role -d 'Execution role, by ARN or name; required to create a function' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l image -d 'Use an image that exists: docker:NAME[:TAG], oci:DIR[:TAG], archive:FILE, or an ECR reference' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l context -d 'Send this directory to the builder' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l dockerfile -d 'Build with this Dockerfile [default: Dockerfile in the context]' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l target -d 'Stop at this stage of the Dockerfile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l build-arg -d 'Set an ARG of the Dockerfile; may be repeated' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l builder -d 'Who builds the Dockerfile: append (without an engine, where its layers can be made here), engine (Docker), or auto: append where possible' -r -f -a "auto\t''
append\t''
engine\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l compression -d 'Compress layers that are made here at this level: fast, default, best, or 1 to 9' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l build-command -d 'Run this program before the image is built, in the directory of the configuration' -r -f
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l repository -d 'Push to this ECR repository, by name or URI [default: the function\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l account -d 'Make the policy for this account [default: the caller\'s]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l no-create-repository -d 'Fail instead of creating a repository that does not exist'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l create-role -d 'Also let them make the execution role'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l invoke -d 'Also let them call the function'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l logs -d 'Also let them read the function\'s log'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand policy; and __fish_seen_subcommand_from iam" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l function -d 'Name of the function [default: the directory\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l architecture -d 'Instruction set: x86_64 or arm64 [default: the existing function\'s, else the image\'s]' -r -f -a "x86_64\t''
arm64\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l role -d 'Execution role, by ARN or name; required to create a function' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l repository -d 'Push to this ECR repository, by name or URI [default: the function\'s name]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l create-role -d 'A missing role would be made (always with `--local`)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l no-create-repository -d 'Fail instead of creating a repository that does not exist'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -f -a "serve" -d 'Serve the local cloud in the foreground, for any AWS client'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -f -a "status" -d 'Show what the local cloud holds'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -f -a "url" -d 'Give a function a URL, and print it'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -f -a "fail" -d 'Let a function fail for a reason of your choice'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -f -a "idle" -d 'Let a function fall idle, as Lambda does with functions nobody used for weeks'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and not __fish_seen_subcommand_from serve status url fail idle reset" -f -a "reset" -d 'Wipe the local cloud: every function, repository and image of it'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l listen -d 'Listen on this loopback address [default: a free port of 127.0.0.1]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l runner -d 'What runs functions on this machine' -r -f -a "auto\t''
container\t''
sandbox\t''"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l with-credentials -d 'Give functions that run on this machine the credentials in AWS_ACCESS_KEY_ID and its like, instead of dummies'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from url" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l reason -d 'The reason in Lambda\'s words [default: a usual text]' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l now -d 'Let the function show it at once'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l clear -d 'Let changes end well again'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from fail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from idle" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand local; and __fish_seen_subcommand_from reset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l config -d 'Read this configuration file instead of the `lambdactl.toml` in PATH' -r -F
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l stage -d 'Lay the tables `[stage.NAME…]` over the configuration' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l region -d 'Work in this AWS region instead of the one of the environment or the profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l profile -d 'Use the credentials and settings of this AWS profile' -r
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l local-dir -d 'Keep the local cloud in this directory [default: $XDG_STATE_HOME/lambdactl/local]' -r -f -a "(__fish_complete_directories)"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l output -d 'Show progress and results this way [default: human at a terminal, else plain]' -r -f -a "human\t'Live lines for a terminal'
plain\t'One line a transition, nothing rewritten'
json\t'One JSON object a line, on standard output'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l color -d 'Use colours' -r -f -a "auto\t'At a terminal, unless NO_COLOR is set'
always\t'Always, except in plain and JSON output'
never\t'Never'"
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l local -d 'Use the embedded local cloud instead of AWS: no account, no network, no Docker'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -s q -l quiet -d 'Show only results and errors'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -s v -l verbose -d 'Show more: details (-v), also a log (-vv), also its smallest steps (-vvv)'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -l yes -d 'Answer every question with yes'
complete -c lambdactl -n "__fish_lambdactl_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
