//! [`Stage`]: a real server and the sample API, running, and how to reach them.
//!
//! Both are loops of one [`Tasks`]: when one breaks its promise the other is stopped too.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use locum_sdk::model::Clock;
use locum_sdk::{Client, Options};
use locum_server::serve;
use locum_server::tasks::Tasks;
use tokio::net::TcpListener;

use crate::place::{Character, LOOPBACK, Place};
use crate::{DemoError, orders_api};

/// How long server and API may take to end; the server's own bound is shorter.
const DRAIN: Duration = Duration::from_secs(12);

/// Everything that runs.
#[derive(Debug)]
pub struct Stage {
    place: Place,
    tasks: Tasks,
    broker: SocketAddr,
    documents: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    orders: SocketAddr,
}

impl Stage {
    /// Makes certificates and files, and starts server and API on free ports of loopback.
    ///
    /// # Errors
    ///
    /// [`DemoError`]; nothing is left then.
    pub async fn open(clock: &dyn Clock) -> Result<Self, DemoError> {
        let now = clock.now().map_err(|unsettled| DemoError::System(unsettled.to_string()))?;
        let place = Place::furnish(now)?;
        let running = serve::start(place.settings()).await.map_err(Box::new)?;
        let (broker, documents, metrics) = (running.grpc, running.http, running.metrics);
        let mut tasks = Tasks::new();
        let mut stopping = tasks.stopping();
        tasks.start("server", async move {
            running.run(async move { stopping.wait().await }).await.map_err(|stopped| stopped.to_string())
        });
        let listener = TcpListener::bind(LOOPBACK).await?;
        let orders = listener.local_addr()?;
        place.introduce(broker, orders)?;
        let mut stage = Self { place, tasks, broker, documents, metrics, orders };
        let api = stage.client(Character::OrdersApi)?;
        // An API that cannot reach its broker says so when it starts, not at its first request.
        api.list_tasks(None, 1, "").await?;
        let routes = orders_api::routes(api)?;
        let mut stopping = stage.tasks.stopping();
        let stop = async move { stopping.wait().await };
        stage.tasks.start("orders API", orders_api::serve(listener, routes, stop));
        Ok(stage)
    }

    /// Serves until `signal`, then ends in order and removes the directory.
    ///
    /// # Errors
    ///
    /// [`DemoError`] with the first cause; the directory is removed all the same.
    pub async fn close(self, signal: impl Future<Output = ()>) -> Result<(), DemoError> {
        let served = self.tasks.run(signal, DRAIN).await;
        let cleared = self.place.clear();
        served?;
        Ok(cleared?)
    }

    /// What makes a client of this character.
    pub fn options(&self, character: Character) -> Options {
        let files = self.place.certificate(character);
        let addr = format!("https://{}", self.broker);
        Options::new(addr, self.place.ca_file()).certificate(files.cert_file, files.key_file)
    }

    /// Where the sample API listens, plain HTTP.
    pub fn orders(&self) -> SocketAddr {
        self.orders
    }

    /// Where the public documents are, HTTPS.
    pub fn documents(&self) -> Option<SocketAddr> {
        self.documents
    }

    /// Where the metrics are, plain HTTP.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.place.path()
    }

    /// A client of this character, with a connection of its own.
    pub(crate) fn client(&self, character: Character) -> Result<Client, DemoError> {
        Ok(Client::connect(&self.options(character))?)
    }
}
