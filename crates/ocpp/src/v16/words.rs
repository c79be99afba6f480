//! The enumerations of OCPP 1.6 §7.

use crate::words::words;

words! {
    /// What a server makes of an id tag (§7.2).
    closed enum AuthorizationStatus {
        Accepted = "Accepted",
        Blocked = "Blocked",
        Expired = "Expired",
        Invalid = "Invalid",
        /// The tag is charging elsewhere. Only in answer to StartTransaction.
        ConcurrentTx = "ConcurrentTx",
    }

    /// Whether a charger may take part (§7.38).
    closed enum RegistrationStatus {
        Accepted = "Accepted",
        /// Keep the line open and wait; the server may configure the charger meanwhile.
        Pending = "Pending",
        Rejected = "Rejected",
    }

    /// Whether a connector is to be usable (§7.4).
    closed enum AvailabilityType {
        Inoperative = "Inoperative",
        Operative = "Operative",
    }

    /// How to restart (§7.42).
    closed enum ResetType {
        Hard = "Hard",
        /// Stops transactions in good order first.
        Soft = "Soft",
    }

    /// What a charger is asked to send (§7.32).
    open enum MessageTrigger {
        BootNotification = "BootNotification",
        DiagnosticsStatusNotification = "DiagnosticsStatusNotification",
        FirmwareStatusNotification = "FirmwareStatusNotification",
        Heartbeat = "Heartbeat",
        MeterValues = "MeterValues",
        StatusNotification = "StatusNotification",
    }

    /// A connector's state; of the charger itself for connector 0, which is then `Available`,
    /// `Unavailable` or `Faulted` (§7.7).
    open enum ChargePointStatus {
        Available = "Available",
        Preparing = "Preparing",
        Charging = "Charging",
        /// The vehicle is offered nothing.
        SuspendedEvse = "SuspendedEVSE",
        /// The vehicle takes nothing.
        SuspendedEv = "SuspendedEV",
        Finishing = "Finishing",
        Reserved = "Reserved",
        Unavailable = "Unavailable",
        Faulted = "Faulted",
    }

    /// What troubles a charger (§7.6).
    open enum ChargePointErrorCode {
        NoError = "NoError",
        ConnectorLockFailure = "ConnectorLockFailure",
        EvCommunicationError = "EVCommunicationError",
        GroundFailure = "GroundFailure",
        HighTemperature = "HighTemperature",
        InternalError = "InternalError",
        LocalListConflict = "LocalListConflict",
        OtherError = "OtherError",
        OverCurrentFailure = "OverCurrentFailure",
        OverVoltage = "OverVoltage",
        PowerMeterFailure = "PowerMeterFailure",
        PowerSwitchFailure = "PowerSwitchFailure",
        ReaderFailure = "ReaderFailure",
        ResetFailure = "ResetFailure",
        UnderVoltage = "UnderVoltage",
        WeakSignal = "WeakSignal",
    }

    /// Why a transaction stopped; `Local` when not said (§7.36).
    open enum Reason {
        DeAuthorized = "DeAuthorized",
        EmergencyStop = "EmergencyStop",
        EvDisconnected = "EVDisconnected",
        HardReset = "HardReset",
        Local = "Local",
        Other = "Other",
        PowerLoss = "PowerLoss",
        Reboot = "Reboot",
        Remote = "Remote",
        SoftReset = "SoftReset",
        UnlockCommand = "UnlockCommand",
    }

    /// How an upload of diagnostics goes (§7.24).
    open enum DiagnosticsStatus {
        Idle = "Idle",
        Uploaded = "Uploaded",
        UploadFailed = "UploadFailed",
        Uploading = "Uploading",
    }

    /// How a firmware update goes (§7.25).
    open enum FirmwareStatus {
        Downloaded = "Downloaded",
        DownloadFailed = "DownloadFailed",
        Downloading = "Downloading",
        Idle = "Idle",
        InstallationFailed = "InstallationFailed",
        Installing = "Installing",
        Installed = "Installed",
    }

    /// What became of a DataTransfer (§7.23).
    open enum DataTransferStatus {
        Accepted = "Accepted",
        Rejected = "Rejected",
        UnknownMessageId = "UnknownMessageId",
        UnknownVendorId = "UnknownVendorId",
    }

    /// Whether a charger will try to start or stop (§7.39).
    open enum RemoteStartStopStatus {
        Accepted = "Accepted",
        Rejected = "Rejected",
    }

    /// Whether a charger will restart (§7.41).
    open enum ResetStatus {
        Accepted = "Accepted",
        Rejected = "Rejected",
    }

    /// Whether a connector was unlocked (§7.46).
    open enum UnlockStatus {
        Unlocked = "Unlocked",
        UnlockFailed = "UnlockFailed",
        NotSupported = "NotSupported",
    }

    /// Whether the availability changes (§7.3).
    open enum AvailabilityStatus {
        Accepted = "Accepted",
        Rejected = "Rejected",
        /// It will, when the transaction has ended.
        Scheduled = "Scheduled",
    }

    /// Whether a setting was changed (§7.22).
    open enum ConfigurationStatus {
        Accepted = "Accepted",
        Rejected = "Rejected",
        /// It was, and takes effect at the next start.
        RebootRequired = "RebootRequired",
        NotSupported = "NotSupported",
    }

    /// Whether the cache was cleared (§7.20).
    open enum ClearCacheStatus {
        Accepted = "Accepted",
        Rejected = "Rejected",
    }

    /// Whether the requested message will come (§7.44).
    open enum TriggerMessageStatus {
        Accepted = "Accepted",
        Rejected = "Rejected",
        NotImplemented = "NotImplemented",
    }

    /// When a value was taken; `Sample.Periodic` when not said (§7.35).
    open enum ReadingContext {
        InterruptionBegin = "Interruption.Begin",
        InterruptionEnd = "Interruption.End",
        Other = "Other",
        SampleClock = "Sample.Clock",
        SamplePeriodic = "Sample.Periodic",
        TransactionBegin = "Transaction.Begin",
        TransactionEnd = "Transaction.End",
        Trigger = "Trigger",
    }

    /// Whether a value is a number or a signed blob; `Raw` when not said (§7.49).
    open enum ValueFormat {
        Raw = "Raw",
        SignedData = "SignedData",
    }

    /// What was measured; `Energy.Active.Import.Register` when not said (§7.31).
    open enum Measurand {
        CurrentExport = "Current.Export",
        CurrentImport = "Current.Import",
        CurrentOffered = "Current.Offered",
        EnergyActiveExportRegister = "Energy.Active.Export.Register",
        EnergyActiveImportRegister = "Energy.Active.Import.Register",
        EnergyReactiveExportRegister = "Energy.Reactive.Export.Register",
        EnergyReactiveImportRegister = "Energy.Reactive.Import.Register",
        EnergyActiveExportInterval = "Energy.Active.Export.Interval",
        EnergyActiveImportInterval = "Energy.Active.Import.Interval",
        EnergyReactiveExportInterval = "Energy.Reactive.Export.Interval",
        EnergyReactiveImportInterval = "Energy.Reactive.Import.Interval",
        Frequency = "Frequency",
        PowerActiveExport = "Power.Active.Export",
        PowerActiveImport = "Power.Active.Import",
        PowerFactor = "Power.Factor",
        PowerOffered = "Power.Offered",
        PowerReactiveExport = "Power.Reactive.Export",
        PowerReactiveImport = "Power.Reactive.Import",
        Rpm = "RPM",
        StateOfCharge = "SoC",
        Temperature = "Temperature",
        Voltage = "Voltage",
    }

    /// The conductors a value is about; all together when not said (§7.34).
    open enum Phase {
        L1 = "L1",
        L2 = "L2",
        L3 = "L3",
        N = "N",
        L1N = "L1-N",
        L2N = "L2-N",
        L3N = "L3-N",
        L1L2 = "L1-L2",
        L2L3 = "L2-L3",
        L3L1 = "L3-L1",
    }

    /// Where a value was taken; `Outlet` when not said (§7.30).
    open enum Location {
        Body = "Body",
        Cable = "Cable",
        Ev = "EV",
        Inlet = "Inlet",
        Outlet = "Outlet",
    }

    /// The unit of a value; `Wh` for energy when not said (§7.45).
    open enum UnitOfMeasure {
        WattHour = "Wh",
        KiloWattHour = "kWh",
        VarHour = "varh",
        KiloVarHour = "kvarh",
        Watt = "W",
        KiloWatt = "kW",
        VoltAmpere = "VA",
        KiloVoltAmpere = "kVA",
        Var = "var",
        KiloVar = "kvar",
        Ampere = "A",
        Volt = "V",
        Celsius = "Celsius",
        /// The schemas' first spelling, which chargers use (OCPP-J 1.6 errata §2.1).
        Celcius = "Celcius",
        Fahrenheit = "Fahrenheit",
        Kelvin = "K",
        Percent = "Percent",
        Hertz = "Hertz",
    }
}
