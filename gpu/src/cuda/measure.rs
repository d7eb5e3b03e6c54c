//! What a measurement asks of a device besides.

use cudarc::driver::sys;

use super::{Cuda, CudaError};

impl Cuda {
    /// The driver's version, as it counts: 13000 for CUDA 13.0.
    #[must_use]
    pub fn driver(&self) -> i32 {
        let mut version = 0;
        // SAFETY: writes a number.
        unsafe { sys::cuDriverGetVersion(&raw mut version) };
        version
    }

    /// How many multiprocessors it has.
    ///
    /// # Errors
    /// If the driver does not tell.
    pub fn multiprocessors(&self) -> Result<u32, CudaError> {
        let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        Ok(u32::try_from(self.context.attribute(attribute)?).unwrap_or(1))
    }

    /// Seconds of the device for what `work` asks of it: the median of `runs`, after one that is not counted.
    ///
    /// # Errors
    /// Those of `work`, or of the driver.
    pub fn timed<E: From<CudaError>>(
        &self,
        runs: usize,
        mut work: impl FnMut() -> Result<(), E>,
    ) -> Result<f64, E> {
        let mut seconds = Vec::with_capacity(runs);
        for run in 0..=runs {
            let event = || {
                let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
                self.context.new_event(flags).map_err(CudaError::from)
            };
            let (begin, end) = (event()?, event()?);
            begin.record(&self.stream).map_err(CudaError::from)?;
            work()?;
            end.record(&self.stream).map_err(CudaError::from)?;
            end.synchronize().map_err(CudaError::from)?;
            let milliseconds = begin.elapsed_ms(&end).map_err(CudaError::from)?;
            if run > 0 {
                seconds.push(f64::from(milliseconds) * 1e-3);
            }
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds.get(runs / 2).copied().unwrap_or(0.0))
    }
}
