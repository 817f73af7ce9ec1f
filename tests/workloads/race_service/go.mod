module memwhy/workloads/race_service

go 1.19
