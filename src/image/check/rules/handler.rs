//! The handlers of interpreted languages: in which file of the image one is.

use super::Context;
use crate::image::check::files::normal;
use crate::image::check::tree::{Found, Lookup};

/// A language whose runtime loads a file that the handler names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    Node,
}

/// The files a handler (`app.handler`) may be in, where code is looked for first, whatever
/// language it is in.
pub(super) fn files<'a>(context: &'a Context<'_>, handler: &str) -> Vec<Found<'a>> {
    let languages = [Language::Python, Language::Node].into_iter();
    let modules = languages.filter_map(|language| Some((language, language.module(handler)?)));
    modules.flat_map(|(language, module)| language.at_hand(context, &module)).collect()
}

impl Language {
    /// The path of the module in a handler's name, without an extension.
    ///
    /// Python takes what stands before the last dot, Node before the first dot of the last name.
    /// <https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py>
    /// <https://github.com/aws/aws-lambda-nodejs-runtime-interface-client/blob/main/src/UserFunction.js>
    pub(super) fn module(self, handler: &str) -> Option<String> {
        let module = match self {
            Self::Python => handler.rsplit_once('.')?.0.replace('.', "/"),
            Self::Node => {
                let (directory, name) = match handler.rsplit_once('/') {
                    Some((directory, name)) => (format!("{directory}/"), name),
                    None => (String::new(), handler),
                };
                format!("{directory}{}", name.split_once('.')?.0)
            }
        };
        let module = normal(&module);
        (!module.is_empty()).then_some(module)
    }

    /// What the file of a module is called besides its name.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Python => &[".py", ".pyc", ".pyd", "/__init__.py", "/__init__.pyc"],
            Self::Node => &[
                ".js",
                ".mjs",
                ".cjs",
                ".node",
                ".json",
                "/package.json",
                "/index.js",
                "/index.mjs",
                "/index.cjs",
            ],
        }
    }

    /// Files of a module in the directories where code is looked for first.
    fn at_hand<'a>(self, context: &'a Context<'_>, module: &str) -> Vec<Found<'a>> {
        let directories = context.code_directories();
        let names = directories
            .iter()
            .flat_map(|directory| self.suffixes().iter().map(move |it| format!("{directory}/{module}{it}")));
        let looked_up = names.map(|name| context.tree.look_up(&name));
        let found = looked_up.filter_map(|it| if let Lookup::Found(found) = it { Some(found) } else { None });
        found.collect()
    }

    /// Whether the image has such a module, wherever it is: many directories are searched for it.
    pub(super) fn has(self, context: &Context<'_>, module: &str) -> bool {
        // Modules may come out of archives and mounted file systems that are searched as well.
        let comes_from_elsewhere = ["PYTHONPATH", "NODE_PATH"].iter().any(|name| {
            context.variable(name).is_some_and(|path| path.contains(".zip") || path.contains("/mnt"))
        });
        comes_from_elsewhere
            || !self.at_hand(context, module).is_empty()
            || context.tree.all().any(|(path, node)| !node.is_directory() && self.is_in(path, module))
    }

    /// Whether a file is the module, from some directory on.
    fn is_in(self, path: &str, module: &str) -> bool {
        let Some(at) = find(path, module) else { return false };
        let rest = &path[at + module.len()..];
        self.suffixes().contains(&rest)
            || match self {
                // `module.cpython-312-x86_64-linux-gnu.so`
                Self::Python => rest.starts_with('.') && rest.ends_with(".so"),
                // A file is taken as it is named, too.
                Self::Node => rest.is_empty(),
            }
    }

    /// The files it may be, in words.
    pub(super) fn file_names(self, module: &str) -> String {
        match self {
            Self::Python => format!("`{module}.py`"),
            Self::Node => format!("`{module}.js`, `.mjs` or `.cjs`"),
        }
    }
}

/// Where whole names of `path` begin that spell `module`, the last time.
fn find(path: &str, module: &str) -> Option<usize> {
    path.rmatch_indices(module).map(|(at, _)| at).find(|at| *at == 0 || path[..*at].ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::Language::{Node, Python};

    #[test]
    fn handlers_name_their_module_as_the_runtimes_read_them() {
        for (language, handler, module) in [
            (Python, "app.handler", Some("app")),
            (Python, "pkg.module.handler", Some("pkg/module")),
            (Python, "src/app.handler", Some("src/app")),
            (Python, "handler", None),
            (Python, ".handler", None),
            (Node, "index.handler", Some("index")),
            (Node, "dist/index.api.handler", Some("dist/index")),
            (Node, "/opt/nodejs/wrap.handler", Some("opt/nodejs/wrap")),
            (Node, "src.d/index", None),
        ] {
            assert_eq!(language.module(handler).as_deref(), module, "{handler}");
        }
    }

    #[test]
    fn a_module_is_a_file_of_its_name_and_not_of_a_longer_one() {
        assert!(Python.is_in("var/task/pkg/app.py", "pkg/app"));
        assert!(Python.is_in("opt/python/app.cpython-312-x86_64-linux-gnu.so", "app"));
        assert!(!Python.is_in("var/task/myapp.py", "app"));
        assert!(!Python.is_in("var/task/app.py.bak", "app"));
        assert!(Node.is_in("var/task/index.mjs", "index"));
        assert!(!Node.is_in("var/task/index.ts", "index"));
    }
}
