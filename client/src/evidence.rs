//! `tacit evidence`: checks a certificate that convicts a party of misbehaviour.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;
use tacit_api::misbehaviour::{Conviction, PeerMisbehaved};
use tacit_api::roster::Roster;

/// What `tacit evidence` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The certificate, as a party wrote it
    certificate: PathBuf,
    /// The consortium's roster
    #[arg(long, default_value = "consortium.toml")]
    roster: PathBuf,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// Prints who is convicted, and of what.
///
/// # Errors
/// A file cannot be read, or the certificate convicts nobody in the roster.
pub fn run(args: &Args) -> Result<()> {
    let shown = || args.certificate.display().to_string();
    let roster = Roster::load(&args.roster).with_context(|| args.roster.display().to_string())?;
    let certificate = PeerMisbehaved::load(&args.certificate)?;
    let conviction = certificate.verify(&roster).with_context(shown)?;
    let Conviction {
        party,
        session,
        what,
    } = conviction;
    println!("{party} is convicted: {what}, in session {session}.");
    if args.json {
        println!(
            "{}",
            json!({ "party": party, "session": session, "what": what })
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tacit_api::consortium::Consortium;
    use tacit_api::identity::Identity;
    use tacit_api::statement::{Statement, Step};

    use super::*;

    #[test]
    fn a_certificate_convicts_and_a_changed_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let [authority, coordinator, west] = [(); 3].map(|()| Identity::generate().unwrap());
        let mut consortium =
            Consortium::found("trial", "localhost:7000", &authority, &coordinator).unwrap();
        let request = west.request("west", Some("localhost:7001")).unwrap();
        consortium.admit(&request).unwrap();
        let args = Args {
            certificate: dir.path().join("certificate.toml"),
            roster: dir.path().join("consortium.toml"),
            json: true,
        };
        consortium.roster().save(&args.roster).unwrap();
        let said = |body: &[u8]| {
            let roster = consortium.roster();
            Statement::sign(&west, roster, [1; 32], Step::Opening, body).unwrap()
        };
        let certificate = PeerMisbehaved::new(consortium.roster(), said(b"r"), said(b"s")).unwrap();
        certificate.save(&args.certificate).unwrap();
        run(&args).unwrap();
        let text = std::fs::read_to_string(&args.certificate).unwrap();
        std::fs::write(
            &args.certificate,
            text.replace("body = \"72\"", "body = \"71\""),
        )
        .unwrap();
        let error = format!("{:#}", run(&args).unwrap_err());
        assert!(error.contains("not signed by west"), "{error}");
    }
}
