//! Services whose products are computed by a device: an emulated one.

use tacit_gpu::{Gpu, Method};
use tacit_gpu_emulator::Recorder;

use super::*;

/// The weights are copied to the device once, when the service begins, and leave it when it ends.
#[test]
fn weights_stay_on_the_device() {
    for protocol in Protocol::ALL {
        let device = Recorder::new(1 << 20);
        let record = device.record.clone();
        let settings = tacit_gpu::Settings {
            memory: 1 << 20,
            least: 0,
            method: Some(Method::Words),
        };
        let gpu = Arc::new(Gpu::new(device, settings));
        let mut setup = Setup::new(Duration::from_secs(16)).by(protocol);
        setup.held = Held::Owner(1);
        setup.kernels = gpu.clone();
        let running = setup.start();
        let mut clinic = running.asker(0);
        let mut copied = Vec::new();
        for question in [array![[0.5, -1.0]], array![[-0.5, 1.5]]] {
            let asked = clinic.ask(&[question.clone().into_dyn()]).unwrap();
            close(&clinic.answer(asked).unwrap(), &question);
            copied.push(record.take_written());
        }
        // Both layers have six weights, of which each of the three parties holds two shares.
        let weights = |copies: &Vec<usize>| copies.iter().filter(|&&words| words == 6).count();
        assert!(weights(&copied[0]) >= 12, "{copied:?}");
        // Proofs multiply by sums of weights and challenges, which are other tensors.
        if protocol == Protocol::Rep3 {
            assert_eq!(weights(&copied[1]), 0, "{copied:?}");
        }
        assert!(!copied[1].is_empty(), "products are computed by the device");
        assert!(gpu.held() >= 12 * 48);
        running.end();
        assert_eq!((gpu.held(), record.live()), (0, 0));
    }
}
