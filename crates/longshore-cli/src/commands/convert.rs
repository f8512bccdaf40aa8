//! `convert`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use longshore::podman::convert::{Converted, ConvertedFile, kube, quadlet};
use serde_json::{Value, json};

use crate::{
    args::{Convert, Form, Format},
    context::Context,
    exit::{ExitCode, Failure},
    report::Report as _,
    services,
};

/// Writes the project as files for Podman.
pub(crate) async fn convert(args: &Convert, context: &Context) -> Result<ExitCode, Failure> {
    let form = args.to.ok_or_else(|| {
        Failure::Usage(
            "it is not said what the project is to be written as".to_owned(),
            Some(
                "give --to quadlet for units that systemd runs, or --to kube for YAML that `podman kube play` runs; \
                 what docker compose calls `convert` is `longshore config`"
                    .to_owned(),
            ),
        )
    })?;
    let project = context.project(&args.services).await?;
    services::check(&args.services, |name| project.services.contains_key(name))?;
    services::check_selected(&project)?;
    let named = args.services.iter().cloned().collect();
    let Converted { files, unsaid, warnings } = match form {
        Form::Quadlet => quadlet(&project, &named)?,
        Form::Kube => kube(&project, &named)?,
    };
    match &args.output {
        Some(path) => {
            let places = places(path, form, &files);
            let force = args.force;
            context.reading_files(move || write(&places, force)).await?;
        }
        None => show(&files, context)?,
    }
    for warning in warnings.into_iter().chain(unsaid.iter().map(ToString::to_string)) {
        context.reporter.warn(&warning);
    }
    Ok(ExitCode::Ok)
}

fn show(files: &[ConvertedFile], context: &Context) -> Result<(), Failure> {
    match context.output.format {
        Format::Json => {
            let object = |file: &ConvertedFile| json!({ "name": file.name, "text": file.text.0 });
            let files: Vec<Value> = files.iter().map(object).collect();
            context.output.json(&json!({ "files": files }))?;
        }
        Format::Text => {
            for (index, file) in files.iter().enumerate() {
                let gap = if index == 0 { "" } else { "\n" };
                context.output.piece(&format!("{gap}# {}\n{}", file.name, file.text.0))?;
            }
        }
    }
    Ok(())
}

/// Where each file goes: YAML into the file that was named, unless that is a folder.
fn places(path: &Path, form: Form, files: &[ConvertedFile]) -> Vec<(PathBuf, String)> {
    let is_file = form == Form::Kube && !path.is_dir();
    let place = |file: &ConvertedFile| if is_file { path.to_owned() } else { path.join(&file.name) };
    files.iter().map(|file| (place(file), file.text.0.clone())).collect()
}

/// Writes all files, or none where one is there and was not to be replaced.
fn write(places: &[(PathBuf, String)], force: bool) -> Result<(), Failure> {
    if let Some((path, _)) = places.iter().find(|(path, _)| !force && path.exists()) {
        return Err(there_already(path));
    }
    for (path, text) in places {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
        }
        let mut options = OpenOptions::new();
        match force {
            true => options.write(true).create(true).truncate(true),
            false => options.write(true).create_new(true),
        };
        // Values of variables are in it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => there_already(path),
            _ => named(path, &error),
        })?;
    }
    Ok(())
}

fn there_already(path: &Path) -> Failure {
    Failure::Usage(
        format!("{} is there already", path.display()),
        Some("replace it with --force, or write to another place".to_owned()),
    )
}

/// The failure of a file, by its name.
pub(super) fn named(path: &Path, error: &io::Error) -> Failure {
    Failure::Io(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
