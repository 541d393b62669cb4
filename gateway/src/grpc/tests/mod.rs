//! Every RPC over a real gateway on a temporary folder, called as a client calls it but without a
//! network: a row of spec B each.
mod ack;
mod beside;
mod receive;
mod route;
mod send;
mod telemetry;
mod world;
