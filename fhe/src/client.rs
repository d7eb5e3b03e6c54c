//! The client's side.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::keys::ClientKey;
use crate::request::Request;
use crate::result::Response;

/// What a client must know of a model to talk to it: nothing secret on either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The parameter set that its keys must have.
    pub params: String,
    /// How many values an input has,
    pub inputs: usize,
    /// the largest that one can be,
    pub max: u16,
    /// and how many the torus holds of their unit.
    pub torus: u64,
}

/// A key in use with one model.
#[derive(Debug)]
pub struct Client {
    key: ClientKey,
    interface: Interface,
}

impl Client {
    /// # Errors
    /// If the key is of another parameter set than the model, or no model has such an interface.
    pub fn new(key: ClientKey, interface: Interface) -> Result<Self, Error> {
        let what = "the model";
        if key.params.name() != interface.params {
            let found = interface.params;
            return Err(Error::Params {
                what,
                found,
                wanted: key.params.name(),
            });
        }
        if !(2..=1 << 50).contains(&interface.torus)
            || interface.inputs == 0
            || interface.inputs > 1 << 24
        {
            return Err(Error::Malformed {
                what,
                why: "no model has such an input",
            });
        }
        Ok(Self { key, interface })
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &ClientKey {
        &self.key
    }

    /// An encrypted input.
    ///
    /// # Errors
    /// If the model takes another number of values, or smaller ones; or if there is no randomness.
    pub fn encrypt(&self, input: &[u16]) -> Result<Request, Error> {
        let wanted = self.interface.inputs;
        if input.len() != wanted {
            return Err(Error::Inputs {
                found: input.len(),
                wanted,
            });
        }
        let max = self.interface.max;
        if let Some((index, &value)) = input.iter().enumerate().find(|(_, value)| **value > max) {
            return Err(Error::TooLarge { index, value, max });
        }
        Request::encrypt(&self.key, input, self.interface.torus)
    }

    /// The result.
    ///
    /// # Errors
    /// If it is encrypted under another key.
    pub fn decrypt(&self, response: &Response) -> Result<Vec<i64>, Error> {
        let what = "the result";
        if response.params != self.key.params {
            let (found, wanted) = (response.params.name().to_owned(), self.key.params.name());
            return Err(Error::Params {
                what,
                found,
                wanted,
            });
        }
        if response.key != self.key.id {
            let (found, wanted) = (response.key.to_string(), self.key.id.to_string());
            return Err(Error::Key {
                what,
                found,
                wanted,
            });
        }
        Ok(response.decrypt(&self.key))
    }
}
