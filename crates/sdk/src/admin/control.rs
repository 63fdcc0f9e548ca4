//! Keys, policies and the registry (`locum.admin.v1.ControlService`).

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::control_service_client::ControlServiceClient;
use locum_model::Timestamp;

use crate::admin::Admin;
use crate::client::Repeat;
use crate::error::Error;
use crate::untrusted::bounded;
use crate::wire::required_time;

/// A key's public face.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The RFC 7638 thumbprint as unpadded base64url.
    pub kid: String,
    /// `token`, `feed` or `keyset-root`.
    pub purpose: String,
    /// `ES256` or `EdDSA`.
    pub algorithm: String,
    /// `published`, `active` or `superseded`.
    pub state: String,
    /// When it was published.
    pub publish_time: Timestamp,
    /// When it reached its state.
    pub state_time: Timestamp,
}

/// A key that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The new key.
    pub key: Key,
    /// When it will begin to sign.
    pub activate_time: Timestamp,
}

/// A policy file as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// The file's name.
    pub name: String,
    /// Its Cedar text.
    pub text: String,
}

/// Whether a policy set would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVerdict {
    /// It would.
    pub valid: bool,
    /// Why not.
    pub problems: Vec<PolicyProblem>,
    /// How many policies there are.
    pub policies: u32,
}

/// What is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    /// The file.
    pub file: String,
    /// Counts from 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// Counts from 1.
    pub column: u32,
    /// What.
    pub message: String,
}

/// What is in force after files were read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The registry in force.
    pub registry_revision: u32,
    /// The policy set in force.
    pub policy_revision: u32,
    /// What changed, a line each.
    pub changes: Vec<String>,
}

impl Admin {
    /// Lists the keys that are published, newest first.
    ///
    /// # Errors
    ///
    /// When the broker refuses the caller or cannot be reached.
    pub async fn list_keys(&self) -> Result<Vec<Key>, Error> {
        let answer = self.client.ask(Repeat::Safe, wire::ListKeysRequest {}, |channel, request| async move {
            ControlServiceClient::new(channel).list_keys(request).await
        });
        answer.await?.keys.into_iter().map(|one| key(Some(one))).collect()
    }

    /// Publishes a new key for signing tokens; none for the usual algorithm.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `REQUEST_MALFORMED` for an algorithm that is not offered.
    pub async fn rotate_key(&self, algorithm: Option<&str>) -> Result<Rotation, Error> {
        let message = wire::RotateKeyRequest { algorithm: algorithm.unwrap_or_default().to_owned() };
        let answer = self.client.ask(Repeat::Never, message, |channel, request| async move {
            ControlServiceClient::new(channel).rotate_key(request).await
        });
        let answer = answer.await?;
        Ok(Rotation { key: key(answer.key)?, activate_time: required_time(answer.activate_time)? })
    }

    /// Checks policy texts as they would be checked before going live. Changes nothing.
    ///
    /// # Errors
    ///
    /// When the broker refuses the caller or cannot be reached; a refused policy is a verdict.
    pub async fn check_policy(&self, files: Vec<PolicyFile>) -> Result<PolicyVerdict, Error> {
        let file = |file: PolicyFile| wire::PolicyFile { name: file.name, text: file.text };
        let message = wire::CheckPolicyRequest { files: files.into_iter().map(file).collect() };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            ControlServiceClient::new(channel).check_policy(request).await
        });
        let answer = answer.await?;
        let problem = |problem: wire::PolicyProblem| PolicyProblem {
            file: bounded(&problem.file),
            line: problem.line,
            column: problem.column,
            message: bounded(&problem.message),
        };
        Ok(PolicyVerdict {
            valid: answer.valid,
            problems: answer.problems.into_iter().map(problem).collect(),
            policies: answer.policies,
        })
    }

    /// Reads registry and policy files again and puts them in force when they are whole and valid.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `REGISTRY_INVALID` or `POLICY_INVALID`: what was in force stays.
    pub async fn reload(&self) -> Result<Reloaded, Error> {
        let answer = self.client.ask(Repeat::Safe, wire::ReloadRequest {}, |channel, request| async move {
            ControlServiceClient::new(channel).reload(request).await
        });
        let answer = answer.await?;
        Ok(Reloaded {
            registry_revision: answer.registry_revision,
            policy_revision: answer.policy_revision,
            changes: answer.changes.iter().map(|line| bounded(line)).collect(),
        })
    }
}

fn key(key: Option<wire::Key>) -> Result<Key, Error> {
    let key = key.ok_or(Error::Unexpected("a key is missing"))?;
    Ok(Key {
        kid: bounded(&key.kid),
        purpose: bounded(&key.purpose),
        algorithm: bounded(&key.algorithm),
        state: bounded(&key.state),
        publish_time: required_time(key.publish_time)?,
        state_time: required_time(key.state_time)?,
    })
}
