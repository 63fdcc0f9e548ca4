mod answers;
mod frames;
mod oracle;
mod snapshots;
mod stage;
mod threads;
