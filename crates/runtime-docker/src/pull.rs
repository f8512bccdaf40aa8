//! Pulling an image, and how far it is.

use std::collections::BTreeMap;

use bollard::{
    errors::Error as Bollard,
    models::CreateImageInfo,
    query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder},
};
use futures_util::StreamExt;
use runtime_core::{Error, Phase, Progress, ResourceKind, Result, Subject, Work};
use tokio::time::timeout;

use crate::{
    build::split,
    connect::{Connection, DockerConfig},
    failure::{Asked, explain},
};

/// The bytes of an image's layers. What is reported never goes back, though the sum does when a layer starts again.
#[derive(Debug, Default)]
struct Layers {
    layers: BTreeMap<String, (u64, u64)>,
    most: u64,
}

impl Layers {
    /// Takes a message; bytes done and bytes in all, if it changed them. Extracting counts the same bytes again and
    /// is left out: what is downloaded is what takes the time.
    fn take(&mut self, message: CreateImageInfo) -> Option<(u64, u64)> {
        let layer = message.id.filter(|_| message.status.as_deref() == Some("Downloading"))?;
        let detail = message.progress_detail?;
        let bytes = |number: Option<i64>| u64::try_from(number?).ok();
        self.layers.insert(layer, (bytes(detail.current)?, bytes(detail.total)?));
        let sum = |pick: fn(&(u64, u64)) -> u64| {
            self.layers.values().map(pick).fold(0, |sum: u64, bytes| sum.saturating_add(bytes))
        };
        self.most = sum(|layer| layer.0).max(self.most);
        Some((self.most, sum(|layer| layer.1).max(self.most)))
    }
}

/// With its tag: without one Docker would fetch them all.
fn tagged(image: &str) -> String {
    let has = image.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if has { image.to_owned() } else { format!("{image}:latest") }
}

/// Fetches an image from its registry. Only public ones: registry credentials are not read.
pub(crate) async fn pull(connection: &Connection, image: &str, progress: &Progress) -> Result<()> {
    let silence = connection.config.deadline.saturating_mul(DockerConfig::SILENT_PULL);
    let client = connection.patient_client(silence).await?;
    let query = CreateImageOptionsBuilder::new().from_image(&tagged(image)).build();
    let mut messages = client.create_image(Some(query), None, None).boxed();
    let asked = Asked { operation: "pull image", kind: ResourceKind::Image, name: image };
    let mut layers = Layers::default();
    while let Some(message) = timeout(silence, messages.next()).await.map_err(|_| asked.late(silence))? {
        let message = message.map_err(|error| match error {
            Bollard::RequestTimeoutError => asked.late(silence),
            error => explain(&error, asked, &connection.peer()),
        })?;
        if let Some(reason) = message.error_detail.as_ref().and_then(|detail| detail.message.clone()) {
            return Err(Error::Image { image: image.to_owned(), reason });
        }
        if let Some((done, total)) = layers.take(message) {
            let phase = Phase::Bytes { work: Work::Pull, done, total: Some(total) };
            progress.report(Subject::Image(image.to_owned()), phase);
        }
    }
    Ok(())
}

/// Gives an image to its registry. Registry credentials are not read.
pub(crate) async fn push(connection: &Connection, image: &str) -> Result<()> {
    let silence = connection.config.deadline.saturating_mul(DockerConfig::SILENT_PULL);
    let client = connection.patient_client(silence).await?;
    let (repository, tag) = split(image);
    let query = PushImageOptionsBuilder::new().tag(tag).build();
    let mut messages = client.push_image(repository, Some(query), None).boxed();
    let asked = Asked { operation: "push image", kind: ResourceKind::Image, name: image };
    while let Some(message) = timeout(silence, messages.next()).await.map_err(|_| asked.late(silence))? {
        message.map_err(|error| match error {
            Bollard::RequestTimeoutError => asked.late(silence),
            error => explain(&error, asked, &connection.peer()),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn message(id: &str, status: &str, current: i64, total: i64) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: Some(ProgressDetail { current: Some(current), total: Some(total) }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn bytes_are_summed_and_never_go_back() {
        let mut layers = Layers::default();
        assert_eq!(layers.take(message("a", "Downloading", 5, 10)), Some((5, 10)));
        assert_eq!(layers.take(message("b", "Downloading", 1, 100)), Some((6, 110)));
        assert_eq!(layers.take(message("a", "Downloading", 0, 10)), Some((6, 110)));
        assert_eq!(layers.take(message("a", "Extracting", 1, 10)), None);
        assert_eq!(layers.take(message("a", "Downloading", -1, 10)), None);
        assert_eq!(layers.take(CreateImageInfo::default()), None);
    }

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        for (image, with_tag) in [
            ("app", "app:latest"),
            ("host:5000/app", "host:5000/app:latest"),
            ("host:5000/app:1", "host:5000/app:1"),
            ("app@sha256:00", "app@sha256:00"),
        ] {
            assert_eq!(tagged(image), with_tag);
        }
    }
}
