//! What a service says of a model, of which nothing is taken on trust.

use anyhow::{Context, Result, ensure};
use tacit_api::proto::EncryptedModel;
use tacit_fhe::Params;
use tacit_fhe::noise::DEFAULT_LIMIT;

use crate::text::printable;

/// Results and values of an input at most: a server is not trusted with the memory of its clients.
const MOST: u64 = 1 << 24;

/// The parameter set of a model that a service announces, if the announcement is one: nothing in it is taken on trust.
pub(super) fn checked(model: &EncryptedModel) -> Result<&'static Params> {
    let named = |set: &&Params| set.name() == model.parameters;
    let parameters = Params::catalogue().iter().find(named).with_context(|| {
        let name = printable(&model.parameters);
        format!("the model needs a key for the parameters {name}, which this version does not have")
    })?;
    let (inputs, max) = (usize::try_from(model.inputs)?, model.max);
    let fits =
        |all: &[f32]| (all.len() == 1 || all.len() == inputs) && all.iter().all(|x| x.is_finite());
    let results = &model.results;
    let ranges = results.iter().all(|r| {
        let widest = 1_i64 << 48;
        -widest <= r.low && r.low <= r.high && r.high <= widest
    });
    ensure!(
        (1..=MOST).contains(&model.inputs)
            && (1..=u32::from(u16::MAX)).contains(&max)
            && fits(&model.offset)
            && fits(&model.gain)
            && model.output_scale.is_finite()
            && (1..=MOST).contains(&(results.len() as u64))
            && ranges
            && model.answer_bytes <= 64 * MOST
            && !(model.keyless && model.bootstraps > 0),
        "the service announces a model that cannot be one"
    );
    // Written so that what is not a number is refused.
    ensure!(
        model.log2_p_fail <= DEFAULT_LIMIT,
        "an answer of this model is wrong with probability 2^{:.0}, and wrong answers that become known tell of your key: \
         2^{DEFAULT_LIMIT:.0} is the most that is taken",
        model.log2_p_fail
    );
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use tacit_api::proto::Range;

    use super::*;

    #[test]
    fn what_cannot_be_a_model_is_refused() {
        let sound = EncryptedModel {
            parameters: "tacit-2048-1".into(),
            inputs: 3,
            offset: vec![0.0],
            gain: vec![1.0; 3],
            max: 3,
            results: vec![Range { low: -5, high: 5 }],
            output_scale: 0.5,
            log2_p_fail: -130.0,
            bootstraps: 2,
            ..EncryptedModel::default()
        };
        checked(&sound).unwrap();
        let changes: [fn(&mut EncryptedModel); 10] = [
            |m| m.parameters = "toy-insecure".into(),
            |m| m.inputs = 0,
            |m| m.offset.clear(),
            |m| m.gain = vec![1.0; 2],
            |m| m.gain[1] = f32::NAN,
            |m| m.max = 1 << 16,
            |m| m.results[0].high = -6,
            |m| m.results[0].high = i64::MAX,
            |m| m.log2_p_fail = f64::NAN,
            |m| m.keyless = true,
        ];
        for (k, change) in changes.iter().enumerate() {
            let mut model = sound.clone();
            change(&mut model);
            assert!(checked(&model).is_err(), "change {k}");
        }
    }
}
