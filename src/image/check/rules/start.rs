//! What is started: that it is there, can be run, is for the right machine, and finds what it
//! needs to start; and where it is started.

use super::Context;
use crate::domain::finding::{Finding, Place, Rule, Severity};
use crate::domain::platform::Architecture;
use crate::image::check::content::Format;
use crate::image::check::context::{Program, Word};
use crate::image::check::tree::{Found, Lookup, NodeKind};
use crate::image::elf::Machine;

/// How many scripts Linux lets stand for one another.
/// <https://github.com/torvalds/linux/blob/v6.1/fs/exec.c#L1786>
const SCRIPTS: usize = 4;

/// The entry point, where it was found.
pub(super) struct EntryPoint<'a> {
    pub(super) found: Found<'a>,
    /// What is started for it, the entry point first: interpreters and loaders.
    pub(super) needs: Vec<String>,
}

pub(super) fn check<'a>(context: &'a Context<'_>, findings: &mut Vec<Finding>) -> Option<EntryPoint<'a>> {
    working_directory(context, findings);
    let Some(word) = context.words.first() else {
        let message = "the image has neither ENTRYPOINT nor CMD, and no other entry point is set";
        let finding = Finding::new(Rule::NoEntryPoint, message, Place::field("config.Entrypoint"));
        findings.push(as_settled(context, finding));
        return None;
    };
    let found = match context.program(&word.text) {
        Program::Found(found) => found,
        Program::Directory(path) => {
            let message = format!("the entry point `{}` is a directory", word.text);
            let place = Place::field(word.field).at(format!("/{path}"));
            findings.push(
                Finding::new(Rule::EntryPointNotExecutable, message, place)
                    .mended_by("name the program in it"),
            );
            return None;
        }
        Program::Absent => {
            findings.push(not_found(context, word));
            return None;
        }
        Program::Unknown => return None,
    };
    let mut examination = Examination { context, field: word.field, findings, needs: Vec::new() };
    examination.program(&found, &word.text, SCRIPTS);
    let needs = examination.needs;
    Some(EntryPoint { found, needs })
}

/// What the function's own settings may make good is an error only where they are known.
pub(super) fn as_settled(context: &Context<'_>, finding: Finding) -> Finding {
    if context.wanted.is_settled { finding } else { finding.as_bad_as(Severity::Warning) }
}

fn working_directory(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let directory = &context.working_directory;
    let is_set = context.wanted.overrides.working_directory.is_some();
    let field = if is_set { "function.image_config.working_directory" } else { "config.WorkingDir" };
    let message = match context.tree.look_up(directory) {
        // Lambda brings its own `/tmp`.
        _ if directory == "/" || directory == "/tmp" => return,
        Lookup::Found(found) if found.node.is_directory() => return,
        Lookup::Found(_) => format!("the working directory `{directory}` is no directory"),
        Lookup::Absent => format!("the working directory `{directory}` is not in the image"),
        Lookup::Unknown => return,
    };
    let place = Place::field(field).at(directory.as_str());
    findings.push(Finding::new(Rule::WorkingDirectoryNotFound, message, place));
}

fn not_found(context: &Context<'_>, word: &Word) -> Finding {
    let name = &word.text;
    let (message, place) = if name.contains('/') {
        let path = context.absolute(name);
        let from = if path == *name {
            String::new()
        } else {
            format!(", seen from the working directory `{}`", context.working_directory)
        };
        (format!("the entry point `{name}` is not in the image{from}"), Place::field(word.field).at(path))
    } else {
        let path = context.variable("PATH").unwrap_or("the usual directories");
        (
            format!("the entry point `{name}` is in none of the directories of PATH ({path})"),
            Place::field(word.field),
        )
    };
    let finding = Finding::new(Rule::EntryPointNotFound, message, place);
    // Shell forms of ENTRYPOINT and CMD need a shell, which small images do not have.
    if name == "/bin/sh" && context.words.get(1).is_some_and(|word| word.text == "-c") {
        return finding.mended_by(
            "the image has no shell: write ENTRYPOINT and CMD in brackets, such as `ENTRYPOINT [\"/bootstrap\"]`",
        );
    }
    match namesake(context, name) {
        Some(path) => finding.mended_by(format!(
            "the image has `{path}`: name it in ENTRYPOINT, or copy it to where ENTRYPOINT points"
        )),
        None => finding,
    }
}

/// A program of the same name somewhere else.
fn namesake(context: &Context<'_>, name: &str) -> Option<String> {
    let name = name.rsplit('/').next().filter(|name| !name.is_empty())?;
    let is_meant = |path: &str| path.rsplit('/').next() == Some(name);
    let mut all = context.tree.all();
    let found = all.find(|(path, node)| is_meant(path) && !node.is_directory() && node.lets_others(1));
    found.map(|(path, _)| format!("/{path}"))
}

/// Follows a program to everything that is started for it.
struct Examination<'a, 'b, 'c> {
    context: &'a Context<'b>,
    field: &'static str,
    findings: &'c mut Vec<Finding>,
    needs: Vec<String>,
}

impl<'a> Examination<'a, '_, '_> {
    fn complain(&mut self, rule: Rule, message: String, found: &Found<'_>) {
        let place =
            Place { field: Some(self.field.to_owned()), ..self.context.place(&found.path, found.node) };
        self.findings.push(Finding::new(rule, message, place));
    }

    /// Looks at a program that was found as `name`.
    fn program(&mut self, found: &Found<'a>, name: &str, scripts: usize) {
        self.needs.push(found.path.clone());
        if !self.may_be_run(found, name) {
            return;
        }
        let format = found.node.content().map_or(&Format::Other, |content| &content.format);
        match format {
            Format::Elf { machine, loader } => {
                self.machine(*machine, found, name);
                if let Some(loader) = loader {
                    self.loader(loader, found, name);
                }
            }
            Format::Script(line) => self.script(line, found, name, scripts),
            Format::Foreign(system) => {
                self.complain(Rule::EntryPointFormat, format!("`{name}` is a program for {system}"), found);
            }
            // What is neither a file nor a directory was not looked into.
            Format::Other if matches!(found.node.kind, NodeKind::Special) => {}
            Format::Unseen => {}
            Format::Other => {
                let what = "is neither an ELF program nor a script that begins with `#!`";
                self.complain(Rule::EntryPointFormat, format!("`{name}` {what}"), found);
            }
        }
    }

    fn may_be_run(&mut self, found: &Found<'_>, name: &str) -> bool {
        if !found.node.lets_others(1) {
            let mode = found.node.mode.unwrap_or_default();
            let message = format!("`{name}` has the mode {mode:04o}: Lambda's user may not execute it");
            self.complain(Rule::EntryPointNotExecutable, message, found);
            return false;
        }
        for directory in &found.passed {
            let Some(node) = self.context.tree.node(directory) else { continue };
            if !node.lets_others(1) {
                let mode = node.mode.unwrap_or_default();
                let message =
                    format!("`{name}` lies in `/{directory}`, whose mode {mode:04o} keeps Lambda's user out");
                let place =
                    Place { field: Some(self.field.to_owned()), ..self.context.place(directory, node) };
                let finding = Finding::new(Rule::EntryPointNotExecutable, message, place);
                self.findings.push(finding.mended_by(format!(
                    "open the directory (`chmod a+rx /{directory}`), or put the program elsewhere"
                )));
                return false;
            }
        }
        true
    }

    fn machine(&mut self, machine: Machine, found: &Found<'_>, name: &str) {
        let Some(architecture) = self.context.architecture else { return };
        // Processors of 64 bits can run some programs of 32; nobody says that Lambda does.
        let relative = matches!(
            (architecture, machine),
            (Architecture::X86_64, Machine::Other(3)) | (Architecture::Arm64, Machine::Other(40))
        );
        if machine == Machine::Known(architecture) {
            return;
        }
        let message =
            format!("`{name}` is a program for {machine}, but the image says that it is for {architecture}");
        let place =
            Place { field: Some(self.field.to_owned()), ..self.context.place(&found.path, found.node) };
        let finding = Finding::new(Rule::WrongMachine, message, place);
        self.findings.push(if relative { finding.as_bad_as(Severity::Warning) } else { finding });
    }

    fn loader(&mut self, loader: &str, found: &Found<'_>, name: &str) {
        match self.context.tree.look_up(&self.context.absolute(loader)) {
            Lookup::Found(loader) => self.needs.push(loader.path),
            Lookup::Unknown => {}
            Lookup::Absent => {
                let message = format!(
                    "`{name}` is linked dynamically and needs the loader `{loader}`, which is not in the image"
                );
                let other_library = if loader.contains("musl") {
                    "it is built for musl (Alpine)"
                } else {
                    "it is built for glibc (Debian, Amazon Linux)"
                };
                self.complain(Rule::InterpreterNotFound, message, found);
                if let Some(finding) = self.findings.last_mut() {
                    finding.fix = format!(
                        "link it statically, or use a base image that has the loader: {other_library}"
                    );
                }
            }
        }
    }

    fn script(&mut self, line: &str, found: &Found<'_>, name: &str, scripts: usize) {
        if line.ends_with('\r') {
            let message =
                format!("the first line of `{name}` ends with a carriage return: `#!{}\\r`", line.trim_end());
            return self.complain(Rule::LineEndings, message, found);
        }
        if !found.node.lets_others(4) {
            let mode = found.node.mode.unwrap_or_default();
            let message = format!(
                "`{name}` is a script with the mode {mode:04o}: its interpreter may not read it as Lambda's user"
            );
            return self.complain(Rule::EntryPointNotExecutable, message, found);
        }
        let line = line.trim();
        let (interpreter, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        if interpreter.is_empty() {
            let message = format!("the first line of `{name}` names no interpreter");
            return self.complain(Rule::InterpreterNotFound, message, found);
        }
        self.interpreter(&self.context.absolute(interpreter), found, name, scripts);
        if interpreter.rsplit('/').next() == Some("env")
            && let Some(program) = program_of_env(argument)
        {
            self.interpreter(program, found, name, scripts);
        }
    }

    fn interpreter(&mut self, interpreter: &str, script: &Found<'_>, name: &str, scripts: usize) {
        match self.context.program(interpreter) {
            Program::Found(found) if scripts > 0 => self.program(&found, interpreter, scripts - 1),
            Program::Found(_) | Program::Unknown => {}
            Program::Absent | Program::Directory(_) => {
                let message =
                    format!("the first line of `{name}` names `{interpreter}`, which is not in the image");
                self.complain(Rule::InterpreterNotFound, message, script);
            }
        }
    }
}

/// The program `env` starts; `None` where that takes more than reading.
fn program_of_env(argument: &str) -> Option<&str> {
    let mut words = argument.split_whitespace().peekable();
    if words.peek() == Some(&"-S") {
        words.next();
    }
    let program = words.find(|word| !word.contains('='))?;
    (!program.starts_with('-')).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::program_of_env;

    #[test]
    fn env_starts_the_first_word_that_is_no_assignment() {
        for (argument, program) in [
            ("python3", Some("python3")),
            ("-S python3 -u", Some("python3")),
            ("LANG=C bash", Some("bash")),
            ("-i bash", None),
            ("", None),
        ] {
            assert_eq!(program_of_env(argument), program, "{argument}");
        }
    }
}
