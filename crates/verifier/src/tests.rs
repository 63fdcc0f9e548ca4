mod answers;
mod frames;
mod snapshots;
mod stage;
mod threads;
