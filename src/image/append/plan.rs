//! Which stages are carried out here, and which an engine has to build.

use std::collections::{BTreeMap, BTreeSet};

use super::NotUnderstood;
use crate::domain::platform::Architecture;
use crate::image::dockerfile::parser::Instruction;
use crate::image::dockerfile::stages::{Base, Stages};

/// What is done with which stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Carried out here from the beginning.
    pub(super) local: BTreeSet<usize>,
    /// Built by an engine up to the last RUN, the instruction of that number, then carried on here.
    pub(super) resumed: BTreeMap<usize, usize>,
    /// Built by an engine, because files are copied from them.
    pub(super) built: BTreeSet<usize>,
}

impl Plan {
    pub(super) fn of(stages: &Stages, target: usize) -> Result<Self, NotUnderstood> {
        let mut plan = Self::default();
        plan.visit(stages, target)?;
        let copies = |index: &usize| {
            let mut instructions = plan.instructions(stages, *index).iter();
            instructions.any(|instruction| matches!(instruction.keyword.as_str(), "COPY" | "ADD"))
        };
        let chain = stages.chain(target);
        let begins = chain.iter().rposition(|index| plan.resumed.contains_key(index));
        if let Some(begins) = begins
            && !chain[begins..].iter().any(copies)
        {
            return Err(NotUnderstood::new("nothing is copied after the last `RUN`, which needs a builder")
                .on(plan.line(stages)));
        }
        Ok(plan)
    }

    fn visit(&mut self, stages: &Stages, index: usize) -> Result<(), NotUnderstood> {
        let stage = &stages.stages[index];
        match stage.instructions.iter().rposition(is_run) {
            Some(last) => drop(self.resumed.insert(index, last)),
            None => {
                self.local.insert(index);
                if let Base::Stage(below) = stage.base {
                    self.visit(stages, below)?;
                }
            }
        }
        for instruction in self.instructions(stages, index) {
            let Some(Base::Stage(from)) = stages.copied_from(instruction, index)? else { continue };
            let needs_builder = |index: &usize| stages.stages[*index].instructions.iter().any(is_run);
            if stages.needed(from)?.iter().any(needs_builder) {
                self.built.insert(from);
            } else {
                self.visit(stages, from)?;
            }
        }
        Ok(())
    }

    /// The instructions of a stage that are carried out here.
    pub(super) fn instructions<'a>(&self, stages: &'a Stages, index: usize) -> &'a [Instruction] {
        let from = self.resumed.get(&index).map_or(0, |last| last + 1);
        &stages.stages[index].instructions[from..]
    }

    /// The stages of which something is carried out here.
    pub(super) fn carried_out(&self) -> impl Iterator<Item = usize> {
        self.local.iter().chain(self.resumed.keys()).copied()
    }

    pub(super) fn needs_engine(&self) -> bool {
        !(self.resumed.is_empty() && self.built.is_empty())
    }

    /// The line of a RUN that has to be run.
    pub(super) fn line(&self, stages: &Stages) -> usize {
        let resumed = self.resumed.iter().map(|(index, last)| &stages.stages[*index].instructions[*last]);
        let built = self.built.iter().flat_map(|index| {
            let needed = stages.needed(*index).unwrap_or_default();
            needed.into_iter().flat_map(|index| &stages.stages[index].instructions)
        });
        let mut lines = resumed.chain(built).filter(|instruction| is_run(instruction));
        lines.next().map_or(0, |instruction| instruction.line)
    }

    /// Whether files of the context are copied.
    pub(super) fn takes_from_context(&self, stages: &Stages) -> bool {
        let mut instructions = self.carried_out().flat_map(|index| self.instructions(stages, index));
        instructions.any(|instruction| {
            matches!(instruction.keyword.as_str(), "COPY" | "ADD")
                && !instruction.flags.iter().any(|flag| flag.starts_with("--from="))
        })
    }

    /// The images that are started from or copied from here, with the lines that name them, and
    /// whether it is the first.
    pub(super) fn images(&self, stages: &Stages) -> Result<Vec<(String, usize, bool)>, NotUnderstood> {
        let mut images = Vec::new();
        for index in self.carried_out() {
            let stage = &stages.stages[index];
            if let (Base::Image(name), true) = (&stage.base, self.local.contains(&index)) {
                images.push((name.clone(), stage.line, true));
            }
            for instruction in self.instructions(stages, index) {
                if let Some(Base::Image(name)) = stages.copied_from(instruction, index)? {
                    images.push((name, instruction.line, false));
                }
            }
        }
        Ok(images)
    }

    /// Finds what is not for the machine the image is for.
    pub(super) fn check_platforms(
        &self,
        stages: &Stages,
        architecture: Option<Architecture>,
    ) -> Result<(), NotUnderstood> {
        let wanted = architecture.map(|architecture| format!("linux/{}", architecture.oci()));
        for stage in self.carried_out().map(|index| &stages.stages[index]) {
            let Some(platform) = stage.platform.clone() else { continue };
            let platform = platform.map_err(|error| error.on(stage.line))?;
            if wanted.as_ref() != Some(&platform) {
                return Err(NotUnderstood::new(format!("the platform `{platform}`")).on(stage.line));
            }
        }
        Ok(())
    }
}

fn is_run(instruction: &Instruction) -> bool {
    instruction.keyword == "RUN"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::dockerfile::parser::Dockerfile;

    fn plan(text: &str) -> Result<Plan, String> {
        let stages =
            Stages::of(Dockerfile::parse(text).unwrap(), &BTreeMap::new(), &BTreeMap::new()).unwrap();
        Plan::of(&stages, stages.stages.len() - 1).map_err(|error| error.to_string())
    }

    fn expected(local: &[usize], resumed: &[(usize, usize)], built: &[usize]) -> Result<Plan, String> {
        Ok(Plan {
            local: local.iter().copied().collect(),
            resumed: resumed.iter().copied().collect(),
            built: built.iter().copied().collect(),
        })
    }

    #[test]
    fn only_what_has_run_takes_an_engine() {
        assert_eq!(plan("FROM a\nCOPY b /"), expected(&[0], &[], &[]));
        // A stage that nobody needs is not looked at.
        assert_eq!(plan("FROM a\nRUN b\nFROM c\nCOPY d /"), expected(&[1], &[], &[]));
        assert_eq!(plan("FROM a\nRUN b\nENV c=d\nRUN e\nCOPY f /"), expected(&[], &[(0, 2)], &[]));
        // Below another stage.
        assert_eq!(plan("FROM a AS x\nRUN b\nFROM x\nCOPY c /"), expected(&[1], &[(0, 0)], &[]));
        // Copied from, also through others.
        assert_eq!(plan("FROM a AS x\nRUN b\nFROM c\nCOPY --from=x /d /"), expected(&[1], &[], &[0]));
        assert_eq!(
            plan("FROM a AS x\nRUN b\nFROM c AS y\nCOPY --from=x d /\nFROM e\nCOPY --from=y /f /"),
            expected(&[2], &[], &[1])
        );
        assert_eq!(
            plan("FROM a AS x\nCOPY b /\nFROM c\nCOPY --from=x /b /\nRUN d\nCOPY --from=x /b /e"),
            expected(&[0], &[(1, 1)], &[])
        );
    }

    #[test]
    fn an_image_that_ends_with_run_is_the_engine_s() {
        let error = plan("FROM a\nCOPY b /\nRUN c\nCMD [\"d\"]").unwrap_err();
        assert_eq!(error, "line 3: nothing is copied after the last `RUN`, which needs a builder");
    }
}
