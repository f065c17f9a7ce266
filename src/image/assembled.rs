//! Images put together from a base and a layer of files, the same bytes on every machine.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::document::{add_history, add_layers, created, object, set_variable};
use super::elf::Machine;
use super::gzip::GzipLayer;
use super::known::KnownImages;
use super::layer::{FileLayer, LayerFiles, Made};
use super::seal::oci_image;
use super::work::{Progress, blocking};
use super::{Image, ImageError, Layer};
use crate::domain::manifest::{ImageConfig, MediaType};
use crate::domain::platform::Architecture;
use crate::domain::spec::AssembledSpec;
use crate::event::{Event, SharedReporter};

/// Assembles an image on `base` (`None` is `scratch`). Where `architecture` is not given, it is
/// the base's, else the one of the ELF file the entry point names.
pub async fn assemble(
    spec: &AssembledSpec,
    base: Option<Image>,
    architecture: Option<Architecture>,
    known: &KnownImages,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    assemble_at(spec, base, architecture, known, 0, reporter).await
}

/// The same as [`assemble`], where the base is still being read, and it is still being found out
/// what is known: nothing waits for what it does not need.
pub async fn assemble_on<E: From<ImageError>>(
    spec: &AssembledSpec,
    base: impl Future<Output = Result<Option<Image>, E>>,
    architecture: Option<Architecture>,
    knowing: impl Future<Output = KnownImages>,
    reporter: &SharedReporter,
) -> Result<Image, E> {
    let making = async {
        let known = knowing.await;
        let files = layer(spec, &known, 0, reporter).await?;
        Ok((files, known))
    };
    let (base, (files, known)) = tokio::try_join!(base, making)?;
    Ok(put_together(spec, base, files, architecture, &known, 0, reporter).await?)
}

/// Assembles an image whose every time is `epoch`, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
/// <https://reproducible-builds.org/docs/source-date-epoch/>
pub async fn assemble_at(
    spec: &AssembledSpec,
    base: Option<Image>,
    architecture: Option<Architecture>,
    known: &KnownImages,
    epoch: u64,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    let files = layer(spec, known, epoch, reporter).await?;
    put_together(spec, base, files, architecture, known, epoch, reporter).await
}

async fn put_together(
    spec: &AssembledSpec,
    base: Option<Image>,
    files: Option<FileLayer>,
    architecture: Option<Architecture>,
    known: &KnownImages,
    epoch: u64,
    reporter: &SharedReporter,
) -> Result<Image, ImageError> {
    if base.is_some() {
        warn_about_links(spec, reporter);
    }
    if files.is_none() && base.is_none() {
        return Err(ImageError::Empty);
    }
    let architecture = resolve_architecture(spec, base.as_ref(), files.as_ref(), architecture)?;
    let document =
        document(spec, base.as_ref(), files.as_ref().map(|files| &files.layer), architecture, epoch)?;
    let config_bytes = document.to_string().into_bytes().into();
    let mut layers = base.map(|base| base.layers).unwrap_or_default();
    known.find(&mut layers).await;
    for layer in &mut layers {
        // The same bytes under the name of the manifest's family.
        layer.descriptor.media_type = MediaType::OciLayerGzip;
    }
    layers.extend(
        files.map(|FileLayer { layer, .. }| Layer { descriptor: layer.descriptor(), source: layer.source }),
    );
    Ok(oci_image(config_bytes, ImageConfig { document }, layers))
}

/// Makes the layer of the files, if there are any; one that the registry has is recognised by
/// what is in it, and not compressed.
async fn layer(
    spec: &AssembledSpec,
    known: &KnownImages,
    epoch: u64,
    reporter: &SharedReporter,
) -> Result<Option<FileLayer>, ImageError> {
    let mappings = spec.files.clone();
    let files = blocking(move |_stop| LayerFiles::collect(&mappings)).await?;
    if files.is_empty() {
        return Ok(None);
    }
    let files = Arc::new(files);
    if !known.is_empty() {
        let (files, reporter) = (files.clone(), reporter.clone());
        let looking = blocking(move |stop| {
            let mut progress = Progress::new("reading", Some(files.size()), &reporter);
            files.look_at(epoch, &mut progress, &stop)
        });
        let (looked, ()) = tokio::join!(looking, known.look_ahead());
        let (diff_id, contents) = looked?;
        if let Some(layer) = known.layers(&[diff_id]).await.get(&diff_id) {
            return Ok(Some(FileLayer { layer: layer.clone(), contents }));
        }
    }
    let (reporter, level) = (reporter.clone(), known.compression());
    blocking(move |stop| {
        let mut progress = Progress::new("compressing", Some(files.size()), &reporter);
        files.write(epoch, level, &mut progress, &stop).map(Some)
    })
    .await
}

/// Decides the architecture, and refuses when the sources disagree.
fn resolve_architecture(
    spec: &AssembledSpec,
    base: Option<&Image>,
    files: Option<&FileLayer>,
    given: Option<Architecture>,
) -> Result<Architecture, ImageError> {
    let of_base = base.map(|base| base.config.platform());
    if let (Some(given), Some(platform)) = (given, &of_base)
        && !platform.runs_on(given)
    {
        let found = vec![platform.to_string()];
        return Err(ImageError::Platform { image: "base".to_owned(), wanted: Some(given), found });
    }
    let of_base = of_base.and_then(|platform| Architecture::from_oci(&platform.architecture));
    let wanted = given.or(of_base);
    let entry_point = entry_point(spec, base);
    let program = entry_point.as_deref().zip(files).and_then(|(path, files)| match files.find(path)? {
        Made::File(machine) => machine.as_ref(),
        _ => None,
    });
    match (program, wanted) {
        (Some(Machine::Known(program)), None) => Ok(*program),
        (Some(Machine::Known(program)), Some(wanted)) if *program == wanted => Ok(wanted),
        (Some(machine), wanted) => Err(ImageError::Platform {
            image: entry_point.unwrap_or_default(),
            wanted,
            found: vec![machine.to_string()],
        }),
        (None, Some(wanted)) => Ok(wanted),
        (None, None) => files.and_then(first_program).ok_or(ImageError::UnknownArchitecture),
    }
}

/// The path of the program that is started, if it is written out.
fn entry_point(spec: &AssembledSpec, base: Option<&Image>) -> Option<String> {
    let words = |key: &str| base.map(|base| base.config.words(key)).unwrap_or_default();
    let entry_point = spec.entry_point.clone().unwrap_or_else(|| words("Entrypoint"));
    let command = spec.command.clone().unwrap_or_else(|| words("Cmd"));
    entry_point.into_iter().chain(command).next()
}

fn first_program(files: &FileLayer) -> Option<Architecture> {
    files.contents.values().find_map(|made| match made {
        Made::File(Some(Machine::Known(architecture))) => Some(*architecture),
        _ => None,
    })
}

/// The configuration: the base's, with everything we do not know kept, and our changes.
fn document(
    spec: &AssembledSpec,
    base: Option<&Image>,
    layer: Option<&GzipLayer>,
    architecture: Architecture,
    epoch: u64,
) -> Result<Value, ImageError> {
    let created = created(epoch)?;
    let mut document = match base {
        Some(base) => base.config.document.clone(),
        None => json!({ "created": "", "architecture": "", "os": "linux", "config": {} }),
    };
    let root = object(&mut document)?;
    root.insert("created".to_owned(), created.clone().into());
    root.insert("architecture".to_owned(), architecture.oci().into());
    configure(object(root.entry("config").or_insert_with(|| json!({})))?, spec);
    if layer.is_some() {
        add_history(root, [history_entry(spec, &created)])?;
    }
    add_layers(root, layer)?;
    Ok(document)
}

fn configure(config: &mut Map<String, Value>, spec: &AssembledSpec) {
    if let Some(entry_point) = &spec.entry_point {
        config.insert("Entrypoint".to_owned(), entry_point.clone().into());
        // As in a Dockerfile: a command was meant for the entry point it came with.
        config.remove("Cmd");
    }
    if let Some(command) = &spec.command {
        config.insert("Cmd".to_owned(), command.clone().into());
    }
    if let Some(directory) = &spec.working_directory {
        config.insert("WorkingDir".to_owned(), directory.clone().into());
    }
    for (name, value) in &spec.environment {
        set_variable(config, name, value);
    }
    if !spec.labels.is_empty() {
        let mut labels = config.get("Labels").and_then(Value::as_object).cloned().unwrap_or_default();
        labels.extend(spec.labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
        config.insert("Labels".to_owned(), labels.into());
    }
}

fn history_entry(spec: &AssembledSpec, created: &str) -> Value {
    let places: Vec<&str> = spec.files.iter().map(|mapping| mapping.to.as_str()).collect();
    json!({ "created": created, "created_by": format!("lambdactl: files {}", places.join(" ")) })
}

/// Warns about directories that are symbolic links in most distributions: an entry for such a
/// directory would replace the link, and with it hide what the base has there.
fn warn_about_links(spec: &AssembledSpec, reporter: &SharedReporter) {
    const LINKS: [&str; 6] = ["/bin/", "/lib/", "/lib64/", "/sbin/", "/var/run/", "/var/lock/"];
    for mapping in &spec.files {
        let to = format!("{}/", mapping.to.trim_end_matches('/'));
        if let Some(link) = LINKS.iter().find(|link| to.starts_with(**link)) {
            reporter.report(Event::Warning {
                message: format!(
                    "`{}`: `{}` is a symbolic link in most base images, and would be replaced by a directory",
                    mapping.to,
                    link.trim_end_matches('/')
                ),
                hint: Some("write the path it points to, such as `/usr/bin/…`".to_owned()),
            });
        }
    }
}

#[cfg(test)]
#[path = "assembled_tests.rs"]
mod tests;
