//! Tensors that stay where they are computed with.

use std::fmt;

/// Keeps what [`Kernels::hold`](super::Kernels::hold) copied until it is dropped.
#[must_use = "what is held is let go of when this is dropped"]
pub struct Resident<'a>(Option<Box<dyn FnOnce() + 'a>>);

impl<'a> Resident<'a> {
    /// Nothing is held.
    pub fn elsewhere() -> Self {
        Self(None)
    }

    /// Something is held until `release` is called.
    pub fn until(release: impl FnOnce() + 'a) -> Self {
        Self(Some(Box::new(release)))
    }

    /// Whether anything is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Resident<'_> {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

impl fmt::Debug for Resident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resident({})", self.is_held())
    }
}
