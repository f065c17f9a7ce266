//! The stages of a Dockerfile, and which of them an image comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::parser::{Dockerfile, Instruction};
use super::{NotUnderstood, arguments, words};

/// A Dockerfile, cut into stages.
#[derive(Clone, Debug)]
pub(in super::super) struct Stages {
    /// The character that escapes others.
    pub(in super::super) escape: char,
    /// What `ARG` before the first stage declares, with what it comes to.
    pub(in super::super) globals: BTreeMap<String, String>,
    pub(in super::super) stages: Vec<Stage>,
}

/// From one `FROM` to the next.
#[derive(Clone, Debug)]
pub(in super::super) struct Stage {
    /// In lower case.
    pub(in super::super) name: Option<String>,
    /// The line of its `FROM`.
    pub(in super::super) line: usize,
    pub(in super::super) base: Base,
    /// What `--platform` says, resolved, as far as anybody but a builder can.
    pub(in super::super) platform: Option<Result<String, NotUnderstood>>,
    pub(in super::super) instructions: Vec<Instruction>,
}

/// What a stage starts from, or a file is copied from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image of this name.
    Image(String),
}

/// Tells whether an ARG of this name has a value though nobody gives it one.
/// <https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope>
pub(in super::super) fn is_builders_own(name: &str) -> bool {
    let ending = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"));
    ending.is_some_and(|ending| {
        matches!(ending, "PLATFORM" | "OS" | "OSVERSION" | "ARCH" | "VARIANT" | "STAGE")
    })
}

impl Stages {
    /// Cuts a Dockerfile into stages. `given` are the values of ARG that were given, and those the
    /// builder gives.
    pub(in super::super) fn of(
        dockerfile: Dockerfile,
        given: &BTreeMap<String, String>,
        platform: &BTreeMap<String, String>,
    ) -> Result<Self, NotUnderstood> {
        let escape = dockerfile.escape;
        let mut found = Self { escape, globals: BTreeMap::new(), stages: Vec::new() };
        for instruction in dockerfile.instructions {
            let line = instruction.line;
            match (instruction.keyword.as_str(), found.stages.last_mut()) {
                ("FROM", _) => {
                    let stage = found.stage(&instruction, platform).map_err(|error| error.on(line))?;
                    found.stages.push(stage);
                }
                (_, Some(stage)) => stage.instructions.push(instruction),
                ("ARG", None) => {
                    found.declare(&instruction.rest, given, platform).map_err(|error| error.on(line))?;
                }
                (keyword, None) => {
                    return Err(NotUnderstood::new(format!("`{keyword}` before the first `FROM`")).on(line));
                }
            }
        }
        if found.stages.is_empty() {
            return Err(NotUnderstood::new("it has no `FROM`"));
        }
        Ok(found)
    }

    fn declare(
        &mut self,
        rest: &str,
        given: &BTreeMap<String, String>,
        platform: &BTreeMap<String, String>,
    ) -> Result<(), NotUnderstood> {
        for (name, default) in arguments::declarations(rest, self.escape)? {
            let value = match (given.get(&name), default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.resolve(&default, platform)?),
                (None, None) => None,
            };
            if let Some(value) = value {
                self.globals.insert(name, value);
            }
        }
        Ok(())
    }

    fn resolve(&self, text: &str, platform: &BTreeMap<String, String>) -> Result<String, NotUnderstood> {
        let lookup = |name: &str| match self.globals.get(name).or_else(|| platform.get(name)) {
            None if is_builders_own(name) => Err(NotUnderstood::new(format!("the builder's own `{name}`"))),
            value => Ok(value.cloned()),
        };
        words::word(text, self.escape, &lookup)
    }

    fn stage(&self, from: &Instruction, platform: &BTreeMap<String, String>) -> Result<Stage, NotUnderstood> {
        let words = arguments::list(&from.rest)?;
        let (base, name) = match words.as_slice() {
            [base] => (base, None),
            [base, keyword, name] if keyword.eq_ignore_ascii_case("as") => (base, Some(name.to_lowercase())),
            _ => return Err(NotUnderstood::new(format!("`FROM {}`", from.rest))),
        };
        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
        };
        if name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(NotUnderstood::new(format!("`FROM {}`", from.rest)));
        }
        let base = self.resolve(base, platform)?;
        if base.is_empty() {
            return Err(NotUnderstood::new("a `FROM` whose image comes to nothing"));
        }
        let platform = match from.flags.as_slice() {
            [] => None,
            [flag] => match flag.strip_prefix("--platform=") {
                // It matters only if the stage is carried out here.
                Some(text) => Some(self.resolve(text, platform)),
                None => return Err(NotUnderstood::new(format!("the option `{flag}`"))),
            },
            _ => return Err(NotUnderstood::new("several options of `FROM`")),
        };
        Ok(Stage { name, line: from.line, base: self.base(base), platform, instructions: Vec::new() })
    }

    fn base(&self, name: String) -> Base {
        match self.named(&name.to_lowercase()) {
            _ if name == "scratch" => Base::Scratch,
            Some(index) => Base::Stage(index),
            None => Base::Image(name),
        }
    }

    /// The last stage of that name.
    fn named(&self, name: &str) -> Option<usize> {
        self.stages.iter().rposition(|stage| stage.name.as_deref() == Some(name))
    }

    /// The name by which a builder finds this stage and no other.
    pub(in super::super) fn unique_name(&self, index: usize) -> Option<&str> {
        let name = self.stages[index].name.as_deref()?;
        let same = self.stages.iter().filter(|stage| stage.name.as_deref() == Some(name)).count();
        (same == 1).then_some(name)
    }

    /// The stage the image is.
    pub(in super::super) fn target(&self, target: Option<&str>) -> Result<usize, NotUnderstood> {
        let Some(target) = target else { return Ok(self.stages.len() - 1) };
        let by_number = || target.parse().ok().filter(|index| *index < self.stages.len());
        self.named(&target.to_lowercase())
            .or_else(by_number)
            .ok_or_else(|| NotUnderstood::new(format!("there is no stage `{target}`")))
    }

    /// What `--from` names in stage `of`.
    pub(in super::super) fn source(&self, name: &str, of: usize) -> Result<Base, NotUnderstood> {
        let earlier = |index: &usize| *index < of;
        if let Some(index) = self.named(&name.to_lowercase()) {
            return match earlier(&index) {
                true => Ok(Base::Stage(index)),
                false => Err(NotUnderstood::new(format!("`--from={name}` names no earlier stage"))),
            };
        }
        match name.parse::<usize>() {
            Ok(index) if earlier(&index) => Ok(Base::Stage(index)),
            Ok(_) => Err(NotUnderstood::new(format!("`--from={name}` names no earlier stage"))),
            Err(_) if name == "scratch" => Ok(Base::Scratch),
            Err(_) => Ok(Base::Image(name.to_owned())),
        }
    }

    /// The stages that stand on each other below `target`, the lowest first.
    pub(in super::super) fn chain(&self, target: usize) -> Vec<usize> {
        let mut chain = vec![target];
        let mut lowest = target;
        while let Base::Stage(below) = self.stages[lowest].base {
            chain.push(below);
            lowest = below;
        }
        chain.reverse();
        chain
    }

    /// What a stage stands on in the end: an image, or nothing.
    pub(in super::super) fn bottom(&self, target: usize) -> &Base {
        &self.stages[self.chain(target).first().copied().unwrap_or(target)].base
    }

    /// Everything a stage is made of: stages by number.
    pub(in super::super) fn needed(&self, target: usize) -> Result<BTreeSet<usize>, NotUnderstood> {
        let (mut needed, mut open) = (BTreeSet::new(), vec![target]);
        while let Some(index) = open.pop() {
            if !needed.insert(index) {
                continue;
            }
            let stage = &self.stages[index];
            open.extend(match stage.base {
                Base::Stage(below) => Some(below),
                _ => None,
            });
            for instruction in &stage.instructions {
                if let Some(Base::Stage(from)) = self.copied_from(instruction, index)? {
                    open.push(from);
                }
            }
        }
        Ok(needed)
    }

    /// What a `COPY --from` copies from; `None` where it is something else.
    pub(in super::super) fn copied_from(
        &self,
        instruction: &Instruction,
        of: usize,
    ) -> Result<Option<Base>, NotUnderstood> {
        let from = instruction.flags.iter().find_map(|flag| flag.strip_prefix("--from="));
        match from {
            Some(from) if from.contains('$') => {
                Err(NotUnderstood::new(format!("a variable in `--from={from}`")).on(instruction.line))
            }
            Some(from) if instruction.keyword == "COPY" => {
                self.source(from, of).map(Some).map_err(|error| error.on(instruction.line))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(text: &str) -> Result<Stages, NotUnderstood> {
        let given = [("GIVEN".to_owned(), "given".to_owned())].into();
        let platform = [("TARGETARCH".to_owned(), "amd64".to_owned())].into();
        Stages::of(Dockerfile::parse(text).unwrap(), &given, &platform)
    }

    fn bases(text: &str) -> Vec<Base> {
        stages(text).unwrap().stages.into_iter().map(|stage| stage.base).collect()
    }

    fn image(name: &str) -> Base {
        Base::Image(name.to_owned())
    }

    #[test]
    fn bases_are_images_stages_or_nothing() {
        let text = "FROM a AS Build\nFROM build as b\nFROM scratch\nFROM 0\nFROM a AS build\nFROM BUILD\n";
        let expected = [image("a"), Base::Stage(0), Base::Scratch, image("0"), image("a"), Base::Stage(4)];
        assert_eq!(bases(text), expected);
    }

    #[test]
    fn arguments_before_the_first_stage_count_for_from() {
        let text = "ARG V=1\nARG NAME=\"x-$V\"\nARG GIVEN=default\nARG NONE\nFROM $NAME:${TARGETARCH}${NONE}\nARG V=2\nFROM ${GIVEN}:$V\n";
        assert_eq!(bases(text), [image("x-1:amd64"), image("given:1")]);
        assert_eq!(
            stages("ARG A\nFROM $A").unwrap_err().to_string(),
            "line 2: a `FROM` whose image comes to nothing"
        );
    }

    #[test]
    fn a_target_is_a_name_or_a_number() {
        let stages = stages("FROM a AS one\nFROM b AS Two\nFROM c").unwrap();
        assert_eq!(stages.target(None), Ok(2));
        assert_eq!(stages.target(Some("TWO")), Ok(1));
        assert_eq!(stages.target(Some("0")), Ok(0));
        assert_eq!(stages.target(Some("3")).unwrap_err().to_string(), "there is no stage `3`");
    }

    #[test]
    fn only_what_the_target_is_made_of_is_needed() {
        let text = "FROM a AS one\nFROM b AS two\nFROM c AS three\nCOPY --from=1 /x /x\nFROM three\nCOPY --from=four /y /y\nFROM d AS five\n";
        let stages = stages(text).unwrap();
        assert_eq!(stages.needed(3).unwrap(), [1, 2, 3].into());
        assert_eq!(stages.chain(3), [2, 3]);
        assert_eq!(stages.source("four", 3), Ok(image("four")));
        assert!(stages.source("five", 3).is_err());
        assert!(stages.source("3", 3).is_err());
    }

    #[test]
    fn malformed_stages_are_left_to_the_builder() {
        let own = stages("FROM --platform=$BUILDPLATFORM a").unwrap().stages[0].platform.clone();
        assert_eq!(own.unwrap().unwrap_err().to_string(), "the builder's own `BUILDPLATFORM`");
        for text in [
            "FROM",
            "FROM a b",
            "FROM a AS 1x",
            "FROM a AS b c",
            "FROM --x=y a",
            "ENV a=b\nFROM a",
            "ARG A=1",
        ] {
            assert!(stages(text).is_err(), "{text}");
        }
        let stages = stages("FROM --platform=linux/$TARGETARCH a").unwrap();
        assert_eq!(stages.stages[0].platform, Some(Ok("linux/amd64".to_owned())));
    }
}
