//! What must hold on the way from Debian to NixOS and back, one file for each matter.

mod back;
mod blockers;
mod infect;
mod power;
mod story;
mod uefi;
