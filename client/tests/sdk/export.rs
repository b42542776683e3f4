//! An export is whole, or an error.

use pb::export_session_response::Record;
use sessiond_client::{Client, Error, pb};

use crate::fake_server::{ExportCall, FakeServer};

fn client(server: &FakeServer) -> Client {
    Client::builder().addr(server.addr()).build().unwrap()
}

fn session() -> pb::SessionRef {
    pb::SessionRef {
        r#ref: Some(pb::session_ref::Ref::Key("a".to_owned())),
    }
}

async fn send(export: &ExportCall, record: Record) {
    let record = Some(record);
    let response = pb::ExportSessionResponse { record };
    export.records.send(Ok(response)).await.unwrap();
}

#[tokio::test]
async fn an_export_ends_behind_its_summary_and_nowhere_else() {
    let mut server = FakeServer::start().await;
    let client = client(&server);
    for whole in [true, false] {
        let (export, call) = tokio::join!(client.export(session()), server.export());
        let mut export = export.unwrap();
        assert_eq!(call.request.r#ref, Some(session()));
        send(&call, Record::Header(pb::ExportHeader::default())).await;
        if whole {
            send(&call, Record::Summary(pb::ExportSummary::default())).await;
        }
        drop(call);
        let header = export.next().await.unwrap();
        assert!(matches!(header, Some(Record::Header(_))), "{header:?}");
        if whole {
            let summary = export.next().await.unwrap();
            assert!(matches!(summary, Some(Record::Summary(_))), "{summary:?}");
            assert_eq!(export.next().await.unwrap(), None);
        } else {
            let broken = export.next().await.unwrap_err();
            assert!(matches!(broken, Error::Unavailable(_)), "{broken:?}");
        }
    }
}
