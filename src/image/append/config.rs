//! What instructions without files change in the configuration of an image.

use serde_json::{Map, Value, json};

use super::Stopped;
use crate::image::ImageError;
use crate::image::dockerfile::NotUnderstood;
use crate::image::dockerfile::arguments::{self, Command};
use crate::image::document::{object, set_variable};

/// What a stage on `scratch` starts with, as BuildKit has it.
pub(super) fn empty() -> Value {
    json!({
        "created": "",
        "architecture": "",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": "/",
        },
    })
}

/// The configuration of a stage in the making.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) document: Value,
    /// Whether the stage has said CMD, which ENTRYPOINT then leaves alone.
    pub(super) has_command: bool,
}

impl Config {
    pub(super) fn new(document: Value) -> Self {
        Self { document, has_command: false }
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.document["config"][key].as_str().unwrap_or_default()
    }

    /// The value of an environment variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let variables = self.document["config"]["Env"].as_array();
        let prefix = format!("{name}=");
        let mut values = variables.into_iter().flatten().filter_map(Value::as_str);
        values.find_map(|variable| variable.strip_prefix(&prefix)).map(str::to_owned)
    }

    /// Whether images built on this one start with instructions of its own.
    pub(super) fn has_triggers(&self) -> bool {
        self.document["config"]["OnBuild"].as_array().is_some_and(|triggers| !triggers.is_empty())
    }

    fn config(&mut self) -> Result<&mut Map<String, Value>, ImageError> {
        let root = object(&mut self.document)?;
        object(root.entry("config").or_insert_with(|| json!({})))
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) -> Result<(), ImageError> {
        self.config()?.insert(key.to_owned(), value.into());
        Ok(())
    }

    pub(super) fn set_author(&mut self, author: &str) -> Result<(), ImageError> {
        object(&mut self.document)?.insert("author".to_owned(), author.into());
        Ok(())
    }

    pub(super) fn set_variable(&mut self, name: &str, value: &str) -> Result<(), ImageError> {
        set_variable(self.config()?, name, value);
        Ok(())
    }

    /// Adds to a member that is an object, such as `Labels`.
    pub(super) fn add(&mut self, key: &str, name: &str, value: Value) -> Result<(), ImageError> {
        let members = self.config()?.entry(key).or_insert_with(|| json!({}));
        object(members)?.insert(name.to_owned(), value);
        Ok(())
    }

    /// CMD and ENTRYPOINT.
    pub(super) fn set_command(&mut self, key: &str, command: Command) -> Result<(), Stopped> {
        let words = match command {
            Command::Words(words) => words,
            Command::Shell(text) => {
                let shell = self.document["config"]["Shell"].as_array().cloned().unwrap_or_default();
                let mut words: Vec<String> =
                    shell.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                if words.is_empty() {
                    words = vec!["/bin/sh".to_owned(), "-c".to_owned()];
                }
                words.push(text);
                words
            }
        };
        if words.is_empty() {
            // Builders differ in whether that is a list or nothing.
            return Err(NotUnderstood::new("an empty list").into());
        }
        self.set(key, words)?;
        match key {
            "Cmd" => {
                self.has_command = true;
                // As BuildKit marks it, whatever the form was.
                self.set("ArgsEscaped", true)?;
            }
            _ if !self.has_command => drop(self.config()?.remove("Cmd")),
            _ => {}
        }
        Ok(())
    }

    /// EXPOSE: ports, ranges of ports, and their protocols.
    pub(super) fn expose(&mut self, ports: &[String]) -> Result<(), Stopped> {
        for port in ports {
            let bad = || NotUnderstood::new(format!("the port `{port}`"));
            let (numbers, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            let protocol = protocol.to_lowercase();
            let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
            let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(bad);
            let (first, last) = (number(first)?, number(last)?);
            if first > last || !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
                return Err(bad().into());
            }
            for port in first..=last {
                self.add("ExposedPorts", &format!("{port}/{protocol}"), json!({}))?;
            }
        }
        Ok(())
    }

    /// HEALTHCHECK.
    pub(super) fn set_health_check(&mut self, flags: &[String], rest: &str) -> Result<(), Stopped> {
        let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let mut check = Map::new();
        match (kind.to_ascii_uppercase().as_str(), command.trim()) {
            ("NONE", "") if flags.is_empty() => {
                check.insert("Test".to_owned(), json!(["NONE"]));
            }
            ("CMD", command) if !command.is_empty() => {
                let test = match arguments::command(command)? {
                    Command::Words(words) if words.is_empty() => {
                        return Err(NotUnderstood::new("an empty list").into());
                    }
                    Command::Words(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
                    Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text],
                };
                check.insert("Test".to_owned(), test.into());
            }
            _ => return Err(NotUnderstood::new(format!("`HEALTHCHECK {rest}`")).into()),
        }
        for flag in flags {
            let bad = || NotUnderstood::new(format!("the option `{flag}`"));
            let (name, value) = flag.split_once('=').ok_or_else(bad)?;
            let (key, value) = match name {
                "--interval" => ("Interval", arguments::duration(value)),
                "--timeout" => ("Timeout", arguments::duration(value)),
                "--start-period" => ("StartPeriod", arguments::duration(value)),
                "--retries" => ("Retries", value.parse::<u32>().ok().filter(|n| *n > 0).map(u64::from)),
                _ => return Err(bad().into()),
            };
            if check.insert(key.to_owned(), value.ok_or_else(bad)?.into()).is_some() {
                return Err(bad().into());
            }
        }
        Ok(self.set("Healthcheck", check)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_point_takes_an_inherited_command_away_but_not_an_own_one() {
        let mut config = Config::new(json!({ "config": { "Cmd": ["inherited"], "Unknown": 1 } }));
        config.set_command("Entrypoint", Command::Words(vec!["/e".to_owned()])).unwrap();
        assert_eq!(config.document["config"], json!({ "Unknown": 1, "Entrypoint": ["/e"] }));
        config.set_command("Cmd", Command::Shell("a $b".to_owned())).unwrap();
        config.set_command("Entrypoint", Command::Words(vec!["/f".to_owned()])).unwrap();
        assert_eq!(config.document["config"]["Cmd"], json!(["/bin/sh", "-c", "a $b"]));
        config.set("Shell", json!(["/bin/bash", "-ec"])).unwrap();
        config.set_command("Cmd", Command::Shell("x".to_owned())).unwrap();
        assert_eq!(config.document["config"]["Cmd"], json!(["/bin/bash", "-ec", "x"]));
        assert!(config.set_command("Cmd", Command::Words(Vec::new())).is_err());
    }

    #[test]
    fn ports_are_numbers_ranges_and_protocols() {
        let mut config = Config::new(json!({}));
        let ports = ["80", "53/UDP", "8000-8001/tcp"].map(str::to_owned);
        config.expose(&ports).unwrap();
        assert_eq!(
            config.document["config"]["ExposedPorts"],
            json!({ "80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {} })
        );
        for port in ["", "0", "x", "2-1", "80:80", "80/http", "70000"] {
            assert!(config.expose(&[port.to_owned()]).is_err(), "{port}");
        }
    }

    #[test]
    fn health_checks_have_times() {
        let mut config = Config::new(json!({}));
        let flags = ["--interval=30s", "--retries=2"].map(str::to_owned);
        config.set_health_check(&flags, "CMD  curl -f http://localhost || exit 1").unwrap();
        assert_eq!(
            config.document["config"]["Healthcheck"],
            json!({ "Test": ["CMD-SHELL", "curl -f http://localhost || exit 1"], "Interval": 30_000_000_000_u64, "Retries": 2 })
        );
        config.set_health_check(&[], "none").unwrap();
        assert_eq!(config.document["config"]["Healthcheck"], json!({ "Test": ["NONE"] }));
        for (flags, rest) in
            [(&["--interval=1"][..], "CMD a"), (&["--x=1"], "CMD a"), (&[], "CMD"), (&[], "RUN a")]
        {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            assert!(config.set_health_check(&flags, rest).is_err(), "{flags:?} {rest}");
        }
    }
}
