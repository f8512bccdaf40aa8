//! Files, copied into containers and out of them.

use std::{collections::BTreeSet, fs, path::Path};

use compose_file::Project;
use futures_util::{StreamExt, TryStreamExt, stream};
use longshore_tests::{Backend, Case, Failed, Outcome, Suite, Talked, behaviours, refused};
use runtime_core::{
    Call, CopiedLinks, CopyOptions, CopySource, Error, ExecSpec, Member, ResourceKind, unpack,
};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_file_goes_in_and_comes_out,
        a_folder_goes_by_dockers_rules,
        all_replicas_get_it_or_the_one_that_is_named,
        an_archive_goes_in_as_it_is,
        what_does_not_run_is_copied_too,
        what_is_mounted_is_copied_too,
        what_is_not_there_is_told,
        much_is_copied_in_pieces,
    );
    behaviours!(suite, if Backend::is_real;
        a_link_is_copied_or_followed,
        modes_stay,
    );
}

const TEXT: &str = "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    scale: 2
    volumes: ['data:/data']
volumes: {data: }
";

async fn up(case: &Case) -> Result<Project, Failed> {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let from = case.dir().join("from");
    fs::create_dir_all(from.join("sub"))?;
    fs::write(from.join("a"), "one\n")?;
    fs::write(from.join("sub/b"), "two\n")?;
    Ok(project)
}

fn web(index: u32) -> Member {
    Member { service: "web".to_owned(), index: Some(index) }
}

async fn put(case: &Case, project: &Project, from: &str, to: &str) -> Result<usize, Error> {
    put_into(case, project, &Member::first("web"), from, to).await
}

async fn put_into(
    case: &Case,
    project: &Project,
    member: &Member,
    from: &str,
    to: &str,
) -> Result<usize, Error> {
    let source = CopySource::Path(case.dir().join(from));
    let (options, call) = (CopyOptions::default(), Call::default());
    let copied = case.runtime().copy_to(&project.name, member, to, source, &options, &call);
    Ok(copied.await?.len())
}

async fn get(case: &Case, project: &Project, from: &str, to: &str) -> Result<(), Error> {
    let options = CopyOptions::default();
    let archive = case.runtime().copy_from(&project.name, &Member::first("web"), from, &options).await?;
    unpack(archive, from, &case.dir().join(to)).await
}

/// What a program in the container reads.
async fn read(case: &Case, project: &Project, member: &Member, path: &str) -> Result<String, Failed> {
    let session =
        case.runtime().exec(&project.name, member, &ExecSpec::new(["/fixture", "read", path])).await?;
    Ok(Talked::with(session, b"").await?.stdout)
}

/// The files and folders beneath one, sorted.
fn beneath(folder: &Path) -> Result<BTreeSet<String>, Failed> {
    let mut all = BTreeSet::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            all.insert(path.strip_prefix(folder)?.display().to_string());
            if path.symlink_metadata()?.is_dir() {
                left.push(path);
            }
        }
    }
    Ok(all)
}

async fn a_file_goes_in_and_comes_out(case: Case) -> Outcome {
    let project = up(&case).await?;
    put(&case, &project, "from/a", "/new").await?;
    assert_eq!(read(&case, &project, &web(1), "/new").await?, "one\n");
    // In the place of a file, and by its name into a folder; the first slash may be left out.
    put(&case, &project, "from/sub/b", "new").await?;
    assert_eq!(read(&case, &project, &web(1), "/new").await?, "two\n");
    put(&case, &project, "from/a", "/").await?;
    assert_eq!(read(&case, &project, &web(1), "/a").await?, "one\n");
    get(&case, &project, "new", "out").await?;
    assert_eq!(fs::read_to_string(case.dir().join("out"))?, "two\n");
    fs::create_dir(case.dir().join("folder"))?;
    get(&case, &project, "/new", "folder").await?;
    assert_eq!(fs::read_to_string(case.dir().join("folder/new"))?, "two\n");
    Ok(())
}

async fn a_folder_goes_by_dockers_rules(case: Case) -> Outcome {
    let project = up(&case).await?;
    // It becomes a folder that is not there yet, goes into one that is, or only what is in it does.
    for (from, to, path) in [
        ("from", "/new", "/new/sub/b"),
        ("from", "/new", "/new/from/sub/b"),
        ("from/sub/.", "/new", "/new/b"),
        ("from/sub", "/new/", "/new/sub/b"),
    ] {
        put(&case, &project, from, to).await?;
        assert_eq!(read(&case, &project, &web(1), path).await?, "two\n", "{from} {to}");
    }
    get(&case, &project, "/new/from", "out").await?;
    let whole: BTreeSet<String> = ["a", "sub", "sub/b"].map(str::to_owned).into();
    assert_eq!(beneath(&case.dir().join("out"))?, whole);
    get(&case, &project, "/new/from/.", "out").await?;
    assert_eq!(beneath(&case.dir().join("out"))?, whole);
    get(&case, &project, "/new/from/sub", "out/sub/").await?;
    assert!(beneath(&case.dir().join("out"))?.contains("sub/sub/b"));
    let error = refused(put(&case, &project, "from", "/new/a").await)?;
    assert!(matches!(error, Error::File { .. }), "{error:?}");
    Ok(())
}

async fn all_replicas_get_it_or_the_one_that_is_named(case: Case) -> Outcome {
    let project = up(&case).await?;
    assert_eq!(put(&case, &project, "from/a", "/all").await?, 2);
    for index in [1, 2] {
        assert_eq!(read(&case, &project, &web(index), "/all").await?, "one\n");
    }
    assert_eq!(put_into(&case, &project, &web(2), "from/a", "/second").await?, 1);
    assert_eq!(read(&case, &project, &web(2), "/second").await?, "one\n");
    assert_eq!(read(&case, &project, &web(1), "/second").await?, "");
    let error = refused(put_into(&case, &project, &web(3), "from/a", "/third").await)?;
    assert_eq!(error, Error::NotRunning { service: "web".to_owned(), index: Some(3) });
    Ok(())
}

async fn an_archive_goes_in_as_it_is(case: Case) -> Outcome {
    let project = up(&case).await?;
    put_into(&case, &project, &web(1), "from", "/new").await?;
    let (runtime, options) = (case.runtime(), CopyOptions::default());
    let archive = runtime.copy_from(&project.name, &web(1), "/new", &options).await?;
    let bytes = archive.try_concat().await?;
    let again =
        || CopySource::Archive(stream::iter([Ok(bytes[..100].to_vec()), Ok(bytes[100..].to_vec())]).boxed());
    let (all, call) = (Member::first("web"), Call::default());
    runtime.copy_to(&project.name, &all, "/data", again(), &options, &call).await?;
    for index in [1, 2] {
        assert_eq!(read(&case, &project, &web(index), "/data/new/sub/b").await?, "two\n");
    }
    let missing = runtime.copy_to(&project.name, &all, "/missing", again(), &options, &call).await;
    assert_eq!(refused(missing)?, Error::NotFound { kind: ResourceKind::File, name: "/missing".to_owned() });
    let file = runtime.copy_to(&project.name, &web(1), "/new/a", again(), &options, &call).await;
    assert!(matches!(refused(file)?, Error::File { .. }));
    // Why an archive has no end is what is told.
    let cut = stream::iter([Ok(bytes[..600].to_vec()), Err(Error::ShuttingDown)]).boxed();
    let cut = runtime.copy_to(&project.name, &all, "/data", CopySource::Archive(cut), &options, &call).await;
    assert_eq!(refused(cut)?, Error::ShuttingDown);
    Ok(())
}

async fn what_does_not_run_is_copied_too(case: Case) -> Outcome {
    let project = up(&case).await?;
    case.stop(&project).await?;
    put(&case, &project, "from", "/new").await?;
    get(&case, &project, "/new/sub", "out").await?;
    assert_eq!(fs::read_to_string(case.dir().join("out/b"))?, "two\n");
    case.start(&project).await?;
    assert_eq!(read(&case, &project, &web(2), "/new/a").await?, "one\n");
    Ok(())
}

async fn what_is_mounted_is_copied_too(case: Case) -> Outcome {
    let project = up(&case).await?;
    put_into(&case, &project, &web(1), "from/a", "/data/").await?;
    assert_eq!(read(&case, &project, &web(2), "/data/a").await?, "one\n");
    get(&case, &project, "/data/a", "out").await?;
    assert_eq!(fs::read_to_string(case.dir().join("out"))?, "one\n");
    Ok(())
}

async fn what_is_not_there_is_told(case: Case) -> Outcome {
    let project = up(&case).await?;
    let missing = |name: &str| Error::NotFound { kind: ResourceKind::File, name: name.to_owned() };
    assert_eq!(refused(get(&case, &project, "/missing", "out").await)?, missing("/missing"));
    let error = refused(get(&case, &project, "/fixture/", "out").await)?;
    assert!(matches!(error, Error::NotFound { .. } | Error::File { .. }), "{error:?}");
    assert_eq!(refused(put(&case, &project, "from/a", "/missing/a").await)?, missing("/missing"));
    for (from, to) in [("from/a", "/missing/"), ("from/missing", "/"), ("from/a/", "/")] {
        let error = refused(put(&case, &project, from, to).await)?;
        assert!(matches!(error, Error::File { .. }), "{from} {to}: {error:?}");
    }
    let nobody = Member::first("nobody");
    let error = refused(put_into(&case, &project, &nobody, "from/a", "/").await)?;
    assert_eq!(error, Error::NotRunning { service: "nobody".to_owned(), index: None });
    Ok(())
}

async fn much_is_copied_in_pieces(case: Case) -> Outcome {
    let project = up(&case).await?;
    let much: Vec<u8> = (0..8_u32 << 20).map(|number| (number % 251) as u8).collect();
    fs::write(case.dir().join("much"), &much)?;
    put_into(&case, &project, &web(1), "much", "/data/much").await?;
    get(&case, &project, "/data/much", "back").await?;
    assert!(fs::read(case.dir().join("back"))? == much);
    Ok(())
}

async fn a_link_is_copied_or_followed(case: Case) -> Outcome {
    let project = up(&case).await?;
    let link = case.dir().join("link");
    std::os::unix::fs::symlink("from/a", &link)?;
    put(&case, &project, "from", "/from").await?;
    put(&case, &project, "link", "/link").await?;
    // It leads to what is there.
    assert_eq!(read(&case, &project, &web(1), "/link").await?, "one\n");
    let mut options = CopyOptions::default();
    options.links = CopiedLinks::Follow;
    let archive = case.runtime().copy_from(&project.name, &web(1), "/link", &options).await?;
    unpack(archive, "/link", &case.dir().join("followed")).await?;
    assert!(!case.dir().join("followed").is_symlink());
    assert_eq!(fs::read_to_string(case.dir().join("followed"))?, "one\n");
    // Into what a link leads to, too.
    std::os::unix::fs::symlink("from/sub", case.dir().join("to"))?;
    put(&case, &project, "to", "/to").await?;
    put(&case, &project, "from/a", "/to/").await?;
    assert_eq!(read(&case, &project, &web(1), "/from/sub/a").await?, "one\n");
    // In a folder it stays one.
    std::os::unix::fs::symlink("a", case.dir().join("from/inner"))?;
    put(&case, &project, "from/inner", "/from/").await?;
    get(&case, &project, "/from", "out").await?;
    assert_eq!(fs::read_link(case.dir().join("out/inner"))?, Path::new("a"));
    Ok(())
}

async fn modes_stay(case: Case) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let project = up(&case).await?;
    fs::set_permissions(case.dir().join("from/a"), fs::Permissions::from_mode(0o640))?;
    put(&case, &project, "from", "/new").await?;
    get(&case, &project, "/new", "out").await?;
    let mode = fs::metadata(case.dir().join("out/a"))?.permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    Ok(())
}
