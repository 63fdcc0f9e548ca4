//! The offline check: is this token alive, as far as the revocation feed has told us?
//!
//! A [`Verifier`] is fed the frames of one connector's partition and the time, and answers
//! [`Answer::Active`], [`Answer::Inactive`] or [`Answer::Unknown`]. What always holds:
//!
//! - *Active* is only said within the lease: so long after the moment at which this verifier *sent* the
//!   nonce that a signed heartbeat echoes, and only if that heartbeat named exactly the chain, the epoch
//!   and the key set that are held here. A frame that is late, lost, doubled or out of order extends
//!   nothing, and whatever is missing is noticed at the next heartbeat.
//! - Nothing unsigned becomes state. The signature is checked over the bytes before they are decoded;
//!   a key set is believed only under the pinned root.
//! - What is revoked stays so: watermarks join by maximum and are forgotten only when time itself has
//!   passed every token that they cover.
//! - A proof of a key (DPoP) counts once, here: what another process was shown is not known. An online
//!   check knows what every backend asked about.
//! - Memory is bounded, whatever is sent and whatever is presented.
//!
//! What it deliberately does not know: the wire (a [`Codec`] is passed in), a clock (a [`Moment`] is
//! passed in), threads, sockets. Who keeps the stream pings and reconnects at the [`Pace`]
//! that is said here, and feeds what comes; see the SDK.
//!
//! Many threads check at once: a token seen before costs one digest, one probe and a few loads, and
//! takes no lock. [`Verifier::apply`] has its effect on every check that starts after it returns.
//!
//! Reading order: [`Verifier`] and what it answers, how frames become state (`follow`), what is kept
//! (`marks`, `eras`, `world`, `memo`).

mod answer;
mod codec;
mod moment;
mod options;
mod verifier;

mod follow;
mod frame_refused;
mod pace;
mod snapshot;

mod eras;
mod figures;
mod marks;
mod memo;
mod world;

pub use answer::{Answer, Inactive, Unknown};
pub use codec::SignedFrame;
pub use figures::Figures;
pub use follow::{Applied, Ping};
pub use frame_refused::FrameRefused;
pub use locum_model::feed::Codec;
pub use locum_token::Claims;
pub use locum_token::dpop::{self, Presented};
pub use moment::Moment;
pub use options::{Options, thumbprint};
pub use pace::{Due, Onward, Pace};
pub use verifier::Verifier;

#[cfg(test)]
mod tests;
