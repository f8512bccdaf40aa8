//! In place of `api` where no service is spoken with.

use std::{path::PathBuf, sync::Arc};

use futures_util::stream::BoxStream;
use runtime_core::{
    Container, ContainerId, ContainerSpec, EngineInfo, Error, MachineName, Observed, Result, RuntimeKind,
    Scope, Wish,
};

use crate::{cli::PodmanCli, command::Podman, podman::Via};

/// Where a service would be.
#[derive(Debug)]
#[allow(dead_code)]
pub(crate) enum Place {
    Own,
    Socket(PathBuf),
    Machine { here: Arc<Podman>, name: MachineName, rootful: bool },
    Nowhere(&'static str),
}

impl Place {
    pub(crate) fn of_url(url: &str) -> Self {
        Self::Socket(url.into())
    }
}

/// No service.
#[derive(Debug)]
pub(crate) struct Api(Via);

/// Nobody has one.
#[derive(Debug)]
pub(crate) enum Line {}

impl Api {
    pub(crate) fn new(_podman: Arc<Podman>, _parallel: usize, via: Via, _place: Place) -> Self {
        Self(via)
    }

    pub(crate) fn is_never_asked(&self) -> bool {
        true
    }

    pub(crate) async fn line(&self) -> Result<Option<Line>> {
        match self.0 {
            Via::Auto | Via::Cli => Ok(None),
            Via::Api => Err(Error::Unsupported {
                engine: RuntimeKind::Podman,
                what: "its API is not compiled in".to_owned(),
            }),
        }
    }

    pub(crate) async fn answers(&self) -> bool {
        false
    }

    pub(crate) async fn close(&self) {}
}

impl Line {
    pub(crate) fn engine(&self) -> &PodmanCli {
        match *self {}
    }

    pub(crate) fn can(&self, _wish: Wish<'_>) -> bool {
        match *self {}
    }

    pub(crate) async fn create_container(
        &self,
        _spec: &ContainerSpec,
        _cli: &PodmanCli,
    ) -> Option<Result<ContainerId>> {
        match *self {}
    }

    pub(crate) async fn containers(
        &self,
        _labels: &[String],
        _all: bool,
        _cli: &PodmanCli,
    ) -> Result<Vec<Container>> {
        match *self {}
    }

    pub(crate) async fn besides(&self, _scope: &Scope) -> Result<Observed> {
        match *self {}
    }

    pub(crate) fn heard<T>(&self, _answer: Result<T>) -> Result<T> {
        match *self {}
    }

    pub(crate) fn keeping<T>(self, _stream: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        match self {}
    }

    pub(crate) async fn info(&self, _endpoint: String) -> Result<EngineInfo> {
        match *self {}
    }
}
